//! Owns the load that stress and soak put on a server: many connections from many addresses, floods, drips, and how long
//! answers take. Knows nothing of what is asked of the server's figures.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use crate::{Client, DEADLINE, alphabet, assert_same_bytes};

/// Lets this process have as many descriptors as it may, and says how many.
///
/// # Panics
/// Never, in practice.
pub fn raise_descriptor_limit() -> u64 {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a process may always read its own limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit anyone may go");
    hard
}

/// The most connections of `wanted` to one server that this process and the server, which inherits its limit, may have
/// beside what else each has open.
///
/// # Panics
/// Never, in practice.
#[must_use]
pub fn connections(wanted: usize) -> usize {
    let limit = usize::try_from(raise_descriptor_limit()).unwrap_or(usize::MAX);
    wanted.min(limit.saturating_sub(200))
}

/// A connection from one of the addresses 127.0.0.2 to 127.0.0.9, in turn by `number`, for one address has too few ports.
///
/// # Panics
/// Where the connection is refused.
#[must_use]
pub fn connect_from(number: usize, address: SocketAddr) -> TcpStream {
    connect_prepared(number, address, |_| {})
}

/// As [`connect_from`], for one that floods and never reads: the system, on either side, takes little of it. With the
/// segments of loopback, 64 KiB each, thousands would use up what the system has for TCP (tcp(7), tcp_mem), and it would
/// reset connections of others.
///
/// # Panics
/// Where the connection is refused.
#[must_use]
pub fn connect_narrow_from(number: usize, address: SocketAddr) -> TcpStream {
    connect_prepared(number, address, |socket| {
        socket.set_tcp_mss(1460).expect("TCP has the option");
        socket.set_recv_buffer_size(16 * 1024).expect("a buffer may be small");
        socket.set_send_buffer_size(64 * 1024).expect("a buffer may be small");
    })
}

fn connect_prepared(number: usize, address: SocketAddr, prepare: impl FnOnce(&Socket)) -> TcpStream {
    let source = Ipv4Addr::new(127, 0, 0, 2 + u8::try_from(number % 8).expect("it is below 8"));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("descriptors are left");
    leave_port_to_connect(&socket);
    prepare(&socket);
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap_or_else(|error| panic!("binding {source}: {error}"));
    socket.connect(&address.into()).unwrap_or_else(|error| panic!("connecting from {source} to {address}: {error}"));
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(DEADLINE))).expect("the stream is open");
    stream
}

/// Without it bind would take a port that nobody else may have for as long as it is in TIME_WAIT (ip(7),
/// IP_BIND_ADDRESS_NO_PORT).
fn leave_port_to_connect(socket: &Socket) {
    let on: libc::c_int = 1;
    // SAFETY: setsockopt(2): the descriptor is an open socket for as long as `socket` lives, and the value is one int, of the
    // length that is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    assert_eq!(result, 0, "IP_BIND_ADDRESS_NO_PORT: {}", std::io::Error::last_os_error());
}

/// From here on this thread has a processor only where no other thread wants it (sched(7), `SCHED_IDLE`): what disturbs a
/// server is not to keep those from running whose waiting is measured.
///
/// # Panics
/// Where the system does not let it.
pub fn give_way() {
    let lowest = libc::sched_param { sched_priority: 0 };
    // SAFETY: sched_setscheduler(2): 0 is the calling thread, and the parameter is one that lives as long as the call.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const lowest) };
    assert_eq!(result, 0, "SCHED_IDLE: {}", std::io::Error::last_os_error());
}

/// How long answers took.
#[derive(Debug, Default)]
pub struct Latencies {
    sorted_us: Vec<u64>,
}

impl Latencies {
    /// Asks each of `clients` in turn, until `enough` says so.
    ///
    /// # Panics
    /// Where an answer is wrong.
    #[must_use]
    pub fn of(clients: &mut [Client], mut enough: impl FnMut(usize) -> bool) -> Latencies {
        let reply = alphabet(100);
        let mut sorted_us = Vec::new();
        'all: loop {
            for client in &mut *clients {
                if enough(sorted_us.len()) {
                    break 'all;
                }
                let asked = Instant::now();
                client.ask(b"write 100\n", &reply);
                sorted_us.push(u64::try_from(asked.elapsed().as_micros()).expect("a test does not last so long"));
            }
        }
        sorted_us.sort_unstable();
        Latencies { sorted_us }
    }

    /// As [`Latencies::of`], for so long.
    ///
    /// # Panics
    /// Where an answer is wrong.
    #[must_use]
    pub fn during(clients: &mut [Client], time: Duration) -> Latencies {
        let end = Instant::now() + time;
        Latencies::of(clients, |_| Instant::now() >= end)
    }

    /// In microseconds: 0.5 is the median. 0 where there were none.
    #[must_use]
    pub fn quantile_us(&self, quantile: f64) -> u64 {
        let last = self.sorted_us.len().saturating_sub(1);
        self.sorted_us.get((last as f64 * quantile) as usize).copied().unwrap_or(0)
    }

    /// How many there were.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sorted_us.len()
    }

    /// Whether there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sorted_us.is_empty()
    }
}

/// Asks `requests` of `client` again and again and throws the answers away, until `over`, at the lowest priority. Says
/// how many bytes the answers had.
///
/// # Panics
/// Never, in practice.
pub fn flood(client: &Client, requests: &[u8], over: &AtomicBool) -> usize {
    let mut answered = 0;
    thread::scope(|scope| {
        // Both fail when the connection is shut down at the end.
        scope.spawn(|| {
            give_way();
            while !over.load(Ordering::Relaxed) && client.stream().write_all(requests).is_ok() {}
        });
        give_way();
        let mut bytes = vec![0; 256 * 1024];
        while !over.load(Ordering::Relaxed)
            && let Ok(count @ 1..) = client.stream().read(&mut bytes)
        {
            answered += count;
        }
        let _ = client.stream().shutdown(Shutdown::Both);
    });
    answered
}

/// Writes `requests` to each of `streams`, again and again, as much as they take, and reads nothing; ends when none of them
/// has taken anything for `rest`, or after `most`. Calls `look` after each round.
///
/// # Panics
/// Where the server ends one of them.
pub fn flood_unread(streams: &[TcpStream], requests: &[u8], rest: Duration, most: Duration, mut look: impl FnMut()) {
    // What of `requests` has gone out, so that each stream goes on within a line.
    let mut sent = vec![0; streams.len()];
    streams.iter().for_each(|stream| stream.set_nonblocking(true).expect("the stream is open"));
    let begun = Instant::now();
    let mut moved = begun;
    while moved.elapsed() < rest && begun.elapsed() < most {
        let mut wrote = false;
        for (mut stream, at) in streams.iter().zip(&mut sent) {
            match stream.write(&requests[*at..]) {
                Ok(count) => {
                    *at = (*at + count) % requests.len();
                    wrote = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("a client that does not read is to be kept waiting, not cut: {error}"),
            }
        }
        look();
        if wrote {
            moved = Instant::now();
        } else {
            thread::yield_now();
        }
    }
    streams.iter().for_each(|stream| stream.set_nonblocking(false).expect("the stream is open"));
}

/// Drips a byte of a line without end into each of `streams` every `every`; says when the server ended each, in seconds
/// from the first byte, as far as it did before `most`.
///
/// # Panics
/// Where a byte comes back.
#[must_use]
pub fn drip(streams: &[TcpStream], every: Duration, most: Duration) -> Vec<f64> {
    streams.iter().for_each(|stream| stream.set_nonblocking(true).expect("the stream is open"));
    let mut first: Vec<Option<Instant>> = vec![None; streams.len()];
    let mut ended: Vec<Option<f64>> = vec![None; streams.len()];
    let begun = Instant::now();
    let mut next = begun;
    while begun.elapsed() < most && ended.iter().any(Option::is_none) {
        let drips = Instant::now() >= next;
        if drips {
            next += every;
        }
        for (index, mut stream) in streams.iter().enumerate() {
            if ended[index].is_some() {
                continue;
            }
            if drips {
                // Fails where it has been ended, which the read below tells.
                let _ = stream.write(b"x");
                first[index].get_or_insert_with(Instant::now);
            }
            match stream.read(&mut [0]) {
                Ok(0) => ended[index] = first[index].map(|first| first.elapsed().as_secs_f64()),
                Ok(_) => panic!("there was nothing to answer"),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => ended[index] = first[index].map(|first| first.elapsed().as_secs_f64()),
            }
        }
        thread::yield_now();
    }
    ended.into_iter().flatten().collect()
}

/// Connects, asks, is answered and closes, `count` times, over `threads` threads; calls `progress` now and then with how
/// many there were.
///
/// # Panics
/// Where an answer is wrong or missing.
pub fn churn(address: SocketAddr, count: usize, threads: usize, progress: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for thread in 0..threads {
            let progress = &progress;
            scope.spawn(move || {
                for number in 0..count / threads {
                    let mut stream = connect_from(number, address);
                    stream.write_all(b"write 20\n").expect("the server takes a line");
                    let mut reply = [0; 20];
                    stream.read_exact(&mut reply).expect("the server answers a line");
                    assert_same_bytes(&reply, &alphabet(20));
                    if thread == 0 && number % 1_000 == 999 {
                        progress((number + 1) * threads);
                    }
                }
            });
        }
    });
}
