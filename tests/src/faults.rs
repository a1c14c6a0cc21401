//! Owns one fault at a time: which calls can fail with which errors, a server in which one of them does, and what has to hold
//! then: the server lives, at most one connection pays, and a bystander's bytes are exact. Knows nothing of how many faults
//! a test wants.

use std::io::{Read, Write};

use nix::errno::Errno;

use crate::peers::{faulty_server, refuses_to_start};
use crate::{Client, Mode, Server, alphabet, assert_same_bytes};

/// A call of the system, and how to make a server call it.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its name, as the shim has it.
    pub name: &'static str,
    /// What it can fail with: the section "Errors" of its man page, without those that only a wrong argument brings.
    pub errors: &'static [Errno],
    step: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A connection of its own asks these lines and gets so many bytes; `None`: it is cut.
    Connect(&'static [u8], Option<usize>),
    /// A connection that stays asks.
    Ask,
    /// One pushes to all, twice at once, so that two pieces wait for one gathered write.
    Cast,
}

/// The calls of R7.
pub const CALLS: [Call; 8] = [
    Call {
        name: "accept4",
        errors: &[
            Errno::EAGAIN,
            Errno::EINTR,
            Errno::ECONNABORTED,
            Errno::EMFILE,
            Errno::ENFILE,
            Errno::ENOBUFS,
            Errno::ENOMEM,
            Errno::EPROTO,
            Errno::EPERM,
            Errno::ENETDOWN,
            Errno::ENOPROTOOPT,
            Errno::EHOSTDOWN,
            Errno::ENONET,
            Errno::EHOSTUNREACH,
            Errno::EOPNOTSUPP,
            Errno::ENETUNREACH,
        ],
        step: Step::Connect(b"write 10\n", Some(10)),
    },
    Call {
        name: "recv",
        errors: &[
            Errno::EAGAIN,
            Errno::EINTR,
            Errno::ECONNRESET,
            Errno::ETIMEDOUT,
            Errno::EHOSTUNREACH,
            Errno::ENOMEM,
            Errno::ENOBUFS,
        ],
        step: Step::Ask,
    },
    Call { name: "send", errors: SEND_ERRORS, step: Step::Ask },
    Call { name: "sendmsg", errors: SEND_ERRORS, step: Step::Cast },
    Call { name: "epoll_ctl", errors: &[Errno::ENOMEM, Errno::ENOSPC], step: Step::Connect(b"write 10\n", Some(10)) },
    Call { name: "epoll_wait", errors: &[Errno::EINTR], step: Step::Ask },
    Call { name: "shutdown", errors: &[Errno::ENOTCONN, Errno::ENOBUFS], step: Step::Connect(b"close 10\n", Some(10)) },
    Call {
        name: "setsockopt",
        errors: &[Errno::ENOMEM, Errno::ENOBUFS, Errno::ENOPROTOOPT],
        step: Step::Connect(b"abort\n", None),
    },
];

const SEND_ERRORS: &[Errno] = &[
    Errno::EAGAIN,
    Errno::EINTR,
    Errno::EPIPE,
    Errno::ECONNRESET,
    Errno::ENOBUFS,
    Errno::ENOMEM,
    Errno::ETIMEDOUT,
    Errno::EHOSTUNREACH,
];

/// How long a server is looked at once the fault has struck.
const STEPS_AFTER: u64 = 10;

/// As far as the start makes such calls; a start that fails has to say so.
const START_CALLS: u64 = 12;

/// What came of one fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It struck a running server, which went on.
    Survived,
    /// It struck the start, which failed and said why.
    StartRefused,
    /// So many calls were never made.
    NotReached,
}

/// Lets the `number`th `call` fail with `error`.
///
/// # Panics
/// Where the server dies, a second connection pays, or the bystander has a wrong byte.
#[must_use]
pub fn strike(mode: Mode, call: &Call, number: u64, error: Errno) -> Outcome {
    let faults = format!("{}:{number}:{}", call.name, error as i32);
    if matches!(call.name, "epoll_ctl" | "setsockopt")
        && number <= START_CALLS
        && let Some(said_why) = refuses_to_start(mode, "quiet=1", &faults)
    {
        assert!(said_why, "{faults}, {mode:?}: the start failed, and neither said why nor left with status 1");
        return Outcome::StartRefused;
    }
    let mut server = faulty_server(mode, "quiet=1", &faults);
    let mut scene = Scene::new(&server, format!("{faults}, {mode:?}"));
    // Each step makes one such call at least, but for the poller's, which may find two events at once.
    let most = if call.name == "epoll_wait" { 2 * number } else { number };
    for step in 0..most {
        if server.has_said("fault: ") {
            break;
        }
        scene.step(&server, call.step);
        if step % 64 == 0 {
            scene.bystander_is_exact();
        }
    }
    (0..STEPS_AFTER).for_each(|_| scene.step(&server, call.step));
    scene.bystander_is_exact();
    scene.newcomers_are_served(&server);
    let Scene { bystander, asking, listening, lost, name } = scene;
    drop((asking, listening));
    // A push to all may still be on its way to it.
    let mut bystander = bystander;
    bystander.finish();
    let rest = bystander.receive_to_end();
    assert!(rest.iter().all(|&byte| byte == b'*'), "{name}: {} bytes too many", rest.len());
    let stopped = server.stop();
    stopped.report.assert_nothing_lost();
    let struck = stopped.count("fault: ");
    assert!(lost <= struck, "{name}: {lost} connections were lost");
    if struck == 0 { Outcome::NotReached } else { Outcome::Survived }
}

/// The connections around one server.
struct Scene {
    /// For messages.
    name: String,
    bystander: Client,
    asking: Client,
    listening: Client,
    /// Connections that did not get what they were due.
    lost: usize,
}

impl Scene {
    fn new(server: &Server, name: String) -> Self {
        // The first that is accepted: the shim spares it. The fault may be that the one before was not.
        let mut bystander = server.connect();
        let mut lost = 0;
        while !exchange(&mut bystander, b"write 3\n", b"abc", false) {
            lost += 1;
            assert!(lost == 1, "{name}: {lost} connections were lost");
            bystander = server.connect();
        }
        Scene { name, bystander, asking: server.connect(), listening: server.connect(), lost }
    }

    fn step(&mut self, server: &Server, step: Step) {
        match step {
            Step::Connect(lines, due) => {
                let mut client = server.connect();
                let served = exchange(&mut client, lines, &alphabet(due.unwrap_or(0)), due.is_none());
                self.lost += usize::from(!served);
            }
            Step::Ask => {
                if !exchange(&mut self.asking, b"write 100\n", &alphabet(100), false) {
                    self.lost += 1;
                    self.asking = server.connect();
                }
            }
            Step::Cast => {
                if !exchange_between_stars(&mut self.asking, b"cast 9000\ncast 9000\n", b"end\nend\n") {
                    self.lost += 1;
                    self.asking = server.connect();
                }
                if !exchange_between_stars(&mut self.listening, b"write 1\n", b"a") {
                    self.lost += 1;
                    self.listening = server.connect();
                }
            }
        }
    }

    /// Every byte of its replies is right; the pushes to all are for it too.
    fn bystander_is_exact(&mut self) {
        let due = alphabet(20_000);
        assert!(exchange_between_stars(&mut self.bystander, b"write 20000\n", &due), "{}: the bystander", self.name);
    }

    fn newcomers_are_served(&self, server: &Server) {
        for _ in 0..3 {
            let mut client = server.connect();
            let served = exchange(&mut client, b"write 1000\n", &alphabet(1_000), false);
            assert!(served, "{}: a newcomer is not served", self.name);
        }
    }
}

/// Whether `due` came back, and, with `then_end`, nothing but the end of the connection after it.
fn exchange(client: &mut Client, lines: &[u8], due: &[u8], then_end: bool) -> bool {
    if client.stream().write_all(lines).is_err() {
        return then_end;
    }
    let mut received = vec![0; due.len()];
    let all = client.stream().read_exact(&mut received).is_ok();
    // A wrong byte is worse than a lost connection.
    if all {
        assert_same_bytes(&received, due);
    }
    all && (!then_end || !matches!(client.stream().read(&mut [0]), Ok(1..)))
}

/// As [`exchange`], for a connection that pushes to all may reach meanwhile: whole stars, as many as may be.
fn exchange_between_stars(client: &mut Client, lines: &[u8], due: &[u8]) -> bool {
    let mut received = Vec::new();
    let mut bytes = [0; 65_536];
    if client.stream().write_all(lines).is_err() {
        return false;
    }
    while received.len() < due.len() {
        match client.stream().read(&mut bytes) {
            Ok(count @ 1..) => received.extend(bytes[..count].iter().filter(|&&byte| byte != b'*')),
            Ok(_) | Err(_) => return false,
        }
    }
    assert_same_bytes(&received, due);
    true
}
