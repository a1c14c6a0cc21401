//! Owns what these suites share: a server in each mode, whose callbacks tell of themselves by events, and a client whose
//! waits are bounded. Knows nothing of what is tested.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use reactor_core::{CloseReason, ConnId, Failed, Framing, Handle, Handler, Mode, Options, Peer, Reply, Server};
use socket2::{Domain, SockRef, Socket, Type};

/// Longer than anything here takes on a busy machine: what has not come by then does not come.
pub(crate) const WAIT: Duration = Duration::from_secs(30);

/// The modes, as they wire threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wiring {
    Single,
    Pooled,
    Multi,
    MultiWithWorkers,
}

impl Wiring {
    pub(crate) const ALL: [Wiring; 4] = [Wiring::Single, Wiring::Pooled, Wiring::Multi, Wiring::MultiWithWorkers];

    pub(crate) fn mode(self) -> Mode {
        match self {
            Wiring::Single => Mode::Single,
            Wiring::Pooled => Mode::Pooled,
            Wiring::Multi | Wiring::MultiWithWorkers => Mode::Multi,
        }
    }

    pub(crate) fn options(self) -> Options {
        let mut options = Options::new();
        match self {
            Wiring::Single => {}
            Wiring::Pooled => {
                options.set_workers(4).expect("in range");
            }
            Wiring::Multi => {
                options.set_reactors(2).expect("in range");
            }
            Wiring::MultiWithWorkers => {
                options.set_reactors(2).expect("in range").set_workers(3).expect("in range");
            }
        }
        options
    }

    /// Loops that own connections.
    pub(crate) fn reactors(self) -> usize {
        match self {
            Wiring::Single | Wiring::Pooled => 1,
            Wiring::Multi | Wiring::MultiWithWorkers => 2,
        }
    }

    /// Whether callbacks run on the loop's own thread.
    pub(crate) fn is_inline(self) -> bool {
        match self {
            Wiring::Single | Wiring::Multi => true,
            Wiring::Pooled | Wiring::MultiWithWorkers => false,
        }
    }

    /// Threads that run `process`.
    pub(crate) fn lanes(self) -> usize {
        match self {
            Wiring::Single => 1,
            Wiring::Pooled => 4,
            Wiring::Multi => 2,
            Wiring::MultiWithWorkers => 3,
        }
    }
}

/// The most connections of which this process can have both ends, up to `wanted`: fewer where its hard limit is low.
pub(crate) fn connections(wanted: usize) -> usize {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit it may be raised");
    wanted.min((hard as usize).saturating_sub(200) / 2)
}

/// One test for each mode, of a function that takes the mode.
macro_rules! in_each_mode {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            use crate::harness_b::Wiring;

            #[test]
            fn single() {
                super::$name(Wiring::Single);
            }

            #[test]
            fn pooled() {
                super::$name(Wiring::Pooled);
            }

            #[test]
            fn multi() {
                super::$name(Wiring::Multi);
            }

            #[test]
            fn multi_with_workers() {
                super::$name(Wiring::MultiWithWorkers);
            }
        }
    )*};
}
pub(crate) use in_each_mode;

/// What the handler of [`serve`] saw.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Opened(ConnId),
    Closed(Closed),
    /// The handler itself was dropped.
    Dropped,
}

/// The last callback of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed {
    pub(crate) conn: ConnId,
    pub(crate) reason: CloseReason,
    pub(crate) os_error: i32,
    /// Since its first.
    pub(crate) age: Duration,
}

/// What the handler of [`serve`] tells.
pub(crate) struct Events(Receiver<Event>);

impl Events {
    #[track_caller]
    pub(crate) fn next(&self) -> Event {
        self.0.recv_timeout(WAIT).expect("an event comes in time")
    }

    /// The next connection that opens; what else comes before it is passed over.
    #[track_caller]
    pub(crate) fn opened(&self) -> ConnId {
        loop {
            if let Event::Opened(conn) = self.next() {
                return conn;
            }
        }
    }

    /// The next connection that closes; openings before it are passed over.
    #[track_caller]
    pub(crate) fn closed(&self) -> Closed {
        loop {
            match self.next() {
                Event::Opened(_) => {}
                Event::Closed(closed) => return closed,
                Event::Dropped => panic!("the handler was dropped and a close was waited for"),
            }
        }
    }

    /// As [`closed`](Events::closed), if one comes within `pace`.
    pub(crate) fn closed_within(&self, pace: Duration) -> Option<Closed> {
        let until = Instant::now() + pace;
        loop {
            match self.0.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Opened(_)) => {}
                Ok(Event::Closed(closed)) => return Some(closed),
                Ok(Event::Dropped) => panic!("the handler was dropped and a close was looked for"),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// What has come by now.
    pub(crate) fn so_far(&self) -> Vec<Event> {
        self.0.try_iter().collect()
    }
}

/// Keeps the loops in a callback, so that what comes meanwhile they find all at once.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    shut: bool,
    /// Loops that stand at it.
    held: usize,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().expect("nobody panics with it")
    }

    /// Shuts the gate and brings each loop to it; says by which connections.
    pub(crate) fn shut(&self, wiring: Wiring, server: &Handle, events: &Events) -> Vec<Client> {
        self.lock().shut = true;
        (1..=wiring.reactors())
            .map(|count| {
                let client = Client::connect(server);
                events.opened();
                // What was told may have been the opening of an earlier one.
                let state = self.changed.wait_timeout_while(self.lock(), WAIT, |state| state.held < count);
                assert!(!state.expect("nobody panics with it").1.timed_out(), "a loop does not come to the gate");
                client
            })
            .collect()
    }

    pub(crate) fn open(&self) {
        self.lock().shut = false;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut state = self.lock();
        if state.shut {
            state.held += 1;
            self.changed.notify_all();
            state = self.changed.wait_timeout_while(state, WAIT, |state| state.shut).expect("nobody panics with it").0;
            state.held -= 1;
        }
    }
}

struct Told<P> {
    process: P,
    gate: Arc<Gate>,
    handle: OnceLock<Handle>,
    events: Sender<Event>,
}

impl<P> Handler for Told<P>
where
    P: Fn(&[u8], &mut Reply<'_, Instant>, &Handle) -> Result<(), Failed> + Send + Sync + 'static,
{
    type Data = Instant;

    fn started(&self, server: &Handle) {
        self.handle.set(server.clone()).expect("a server starts once");
    }

    fn open(&self, conn: ConnId, _peer: Peer) -> Option<Instant> {
        // Before it is told: a gate that is shut after that is not for this one.
        let shut = self.gate.lock().shut;
        let _ = self.events.send(Event::Opened(conn));
        if shut {
            self.gate.pass();
        }
        Some(Instant::now())
    }

    fn process(&self, request: &[u8], reply: &mut Reply<'_, Instant>) -> Result<(), Failed> {
        (self.process)(request, reply, self.handle.get().expect("started comes first"))
    }

    fn close(&self, conn: ConnId, reason: CloseReason, os_error: i32, opened: Instant) {
        let _ = self.events.send(Event::Closed(Closed { conn, reason, os_error, age: opened.elapsed() }));
    }
}

impl<P> Drop for Told<P> {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Dropped);
    }
}

/// Starts a server on a port of its own.
pub(crate) fn serve<P>(wiring: Wiring, configure: impl FnOnce(&mut Options), process: P) -> (Server, Events)
where
    P: Fn(&[u8], &mut Reply<'_, Instant>, &Handle) -> Result<(), Failed> + Send + Sync + 'static,
{
    let (server, events, _gate) = serve_gated(wiring, configure, process);
    (server, events)
}

/// As [`serve`], with a gate that is open at first.
pub(crate) fn serve_gated<P>(
    wiring: Wiring,
    configure: impl FnOnce(&mut Options),
    process: P,
) -> (Server, Events, Arc<Gate>)
where
    P: Fn(&[u8], &mut Reply<'_, Instant>, &Handle) -> Result<(), Failed> + Send + Sync + 'static,
{
    let mut options = wiring.options();
    configure(&mut options);
    let (events, receiver) = channel();
    let gate = Arc::new(Gate::default());
    let handler = Told { process, gate: Arc::clone(&gate), handle: OnceLock::new(), events };
    let server = Server::start("127.0.0.1:0", wiring.mode(), &options, handler).expect("the server starts");
    (server, Events(receiver), gate)
}

/// The reply is the request.
pub(crate) fn echo(request: &[u8], reply: &mut Reply<'_, Instant>, _server: &Handle) -> Result<(), Failed> {
    reply.write(request).map_err(|_| Failed)
}

/// Frames that end with a line feed, which stays with them.
pub(crate) fn lines() -> Framing {
    Framing::Delimiter { delimiter: b"\n".to_vec(), strip: false }
}

/// Frames behind four bytes that count them, big end first.
pub(crate) fn counted(strip: bool) -> Framing {
    Framing::LengthPrefix { width: 4, big_endian: true, strip }
}

/// `payload` behind four bytes that count it.
pub(crate) fn count(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("a test's frame is small");
    [&len.to_be_bytes(), payload].concat()
}

/// Bytes that differ from place to place and from `seed` to seed.
pub(crate) fn pattern(seed: usize, len: usize) -> Vec<u8> {
    let mut state = (seed as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        // xorshift64 (Marsaglia 2003): cheap, and no dependency.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Looks until it is so.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl FnMut() -> bool) {
    assert!(comes_within(WAIT, is_so), "{what}: not within {WAIT:?}");
}

/// Looks until it is so, or for so long; says whether it came to be so.
pub(crate) fn comes_within(wait: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + wait;
    while !is_so() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::park_timeout(Duration::from_millis(1));
    }
    true
}

/// A client whose waits are bounded.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
}

impl Client {
    pub(crate) fn connect(server: &Handle) -> Client {
        let stream = TcpStream::connect(server.local_address()).expect("the server accepts");
        Client::with(stream)
    }

    /// One whose system, as that of the server, takes little that it does not read: what the server's keeps depends on
    /// how many segments may be under way, and on their size, which is 64 KiB on loopback.
    pub(crate) fn connect_narrow(server: &Handle) -> Client {
        let address: SocketAddr = server.local_address().parse().expect("an address with a port");
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket is made");
        socket.set_recv_buffer_size(16 * 1024).expect("a buffer may be small");
        socket.set_tcp_mss(1460).expect("TCP has the option");
        socket.connect(&address.into()).expect("the server accepts");
        Client::with(socket.into())
    }

    fn with(stream: TcpStream) -> Client {
        stream.set_nodelay(true).expect("TCP has the option");
        stream.set_read_timeout(Some(WAIT)).expect("a timeout above 0");
        stream.set_write_timeout(Some(WAIT)).expect("a timeout above 0");
        Client { stream }
    }

    #[track_caller]
    pub(crate) fn send(&self, bytes: &[u8]) {
        (&self.stream).write_all(bytes).expect("the server takes the bytes in time");
    }

    #[track_caller]
    pub(crate) fn receive(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        (&self.stream).read_exact(&mut bytes).expect("the bytes come in time");
        bytes
    }

    /// What comes up to the FIN.
    pub(crate) fn receive_to_end(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&self.stream).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Sends a line and expects it back.
    #[track_caller]
    pub(crate) fn ping(&self, line: &[u8]) {
        self.send(line);
        assert_eq!(self.receive(line.len()), line);
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).expect("the connection is open");
    }

    /// Leaves with a reset rather than a FIN (socket(7), SO_LINGER).
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("TCP has the option");
    }
}

/// Tells the test of a child that it is one.
const CHILD: &str = "REACTOR_CORE_CHILD";

/// Runs the ignored test `name` of this program in a process of its own, for what only a whole process shows; `setting` it
/// gets from [`child_setting`].
#[track_caller]
pub(crate) fn in_a_process_of_its_own(name: &str, setting: &str) {
    let program = std::env::current_exe().expect("the test knows its own file");
    let output = Command::new(program)
        .args([name, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD, setting)
        .output()
        .expect("the test's own file runs");
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} ({setting}) failed:\n{told}\n{errors}");
    assert!(told.contains("1 passed"), "{name} did not run:\n{told}");
}

/// What a child was asked for; `None` where the test was not started as one.
pub(crate) fn child_setting() -> Option<String> {
    std::env::var(CHILD).ok()
}

/// The mode of this name, as Debug writes it.
pub(crate) fn wiring_named(name: &str) -> Wiring {
    Wiring::ALL.into_iter().find(|wiring| format!("{wiring:?}") == name).expect("a mode's name")
}
