//! Owns what the suites of order, promises, framing, push, stats and addresses share: a server made of closures in each
//! mode, a client whose every wait is bounded, and waits that other threads end. Knows nothing of what is promised.

#![allow(dead_code, reason = "each suite uses its own part")]

use std::io::{ErrorKind as IoErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use reactor_core::{
    CloseReason, ConnId, Deferred, Failed, FrameEnd, Framing, Handle, Handler, Mode, Options, Peer, Reply, Server,
};
use socket2::SockRef;

/// No wait of a test is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The ways to spread the work that the suites run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    Single,
    /// With 4 workers.
    Pooled,
    /// With 2 reactors, inline.
    Multi,
    /// With 2 reactors and 3 workers.
    MultiWorkers,
}

impl Setup {
    pub(crate) fn mode(self) -> Mode {
        match self {
            Setup::Single => Mode::Single,
            Setup::Pooled => Mode::Pooled,
            Setup::Multi | Setup::MultiWorkers => Mode::Multi,
        }
    }

    pub(crate) fn has_workers(self) -> bool {
        match self {
            Setup::Single | Setup::Multi => false,
            Setup::Pooled | Setup::MultiWorkers => true,
        }
    }

    pub(crate) fn reactors(self) -> usize {
        match self {
            Setup::Single | Setup::Pooled => 1,
            Setup::Multi | Setup::MultiWorkers => 2,
        }
    }

    /// All defaults but the number of threads.
    pub(crate) fn options(self) -> Options {
        let mut options = Options::new();
        let in_range = "the count is in range";
        match self {
            Setup::Single => {}
            Setup::Pooled => {
                options.set_workers(4).expect(in_range);
            }
            Setup::Multi => {
                options.set_reactors(2).expect(in_range);
            }
            Setup::MultiWorkers => {
                options.set_reactors(2).expect(in_range).set_workers(3).expect(in_range);
            }
        }
        options
    }

    /// As [`options`](Setup::options), with the framing.
    pub(crate) fn framed(self, framing: Framing) -> Options {
        let mut options = self.options();
        options.set_framing(framing).expect("the framing is well formed");
        options
    }
}

/// One named test for each mode, of each function.
macro_rules! in_each_mode {
    ($($promise:ident;)*) => {
        $(mod $promise {
            use crate::harness_a::Setup;

            #[test]
            fn single() {
                super::$promise(Setup::Single);
            }

            #[test]
            fn pooled() {
                super::$promise(Setup::Pooled);
            }

            #[test]
            fn multi() {
                super::$promise(Setup::Multi);
            }

            #[test]
            fn multi_with_workers() {
                super::$promise(Setup::MultiWorkers);
            }
        })*
    };
}

pub(crate) use in_each_mode;

/// One line, without and with its end.
pub(crate) fn lines(strip: bool) -> Framing {
    Framing::Delimiter { delimiter: b"\n".to_vec(), strip }
}

pub(crate) fn prefix(width: u32, strip: bool) -> Framing {
    Framing::LengthPrefix { width, big_endian: true, strip }
}

type Process = dyn Fn(&Handle, &[u8], &mut Reply<'_, ConnId>) -> Result<(), Failed> + Send + Sync;
type Open = dyn Fn(&Handle, ConnId) -> bool + Send + Sync;
type Frame = dyn Fn(&[u8], usize) -> FrameEnd + Send + Sync;
type Close = dyn Fn(&Handle, ConnId) + Send + Sync;

/// What a connection's last call said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) conn: ConnId,
    pub(crate) reason: CloseReason,
    pub(crate) os_error: i32,
}

/// A handler made of closures; a connection's data is its id.
pub(crate) struct Service {
    process: Box<Process>,
    open: Box<Open>,
    frame: Box<Frame>,
    close: Box<Close>,
    server: OnceLock<Handle>,
    opened: Sender<ConnId>,
    closed: Sender<Closed>,
    /// What [`Running`] gets; behind a lock because a handler is shared.
    events: Mutex<Option<(Receiver<ConnId>, Receiver<Closed>)>>,
}

impl Service {
    pub(crate) fn new(
        process: impl Fn(&Handle, &[u8], &mut Reply<'_, ConnId>) -> Result<(), Failed> + Send + Sync + 'static,
    ) -> Self {
        let (opened, openings) = channel();
        let (closed, closings) = channel();
        Service {
            process: Box::new(process),
            open: Box::new(|_, _| true),
            frame: Box::new(|_, _| FrameEnd::Refused),
            close: Box::new(|_, _| {}),
            server: OnceLock::new(),
            opened,
            closed,
            events: Mutex::new(Some((openings, closings))),
        }
    }

    /// Answers each request with itself.
    pub(crate) fn echo() -> Self {
        Service::new(|_, request, reply| answer(reply, request))
    }

    pub(crate) fn on_open(mut self, open: impl Fn(&Handle, ConnId) -> bool + Send + Sync + 'static) -> Self {
        self.open = Box::new(open);
        self
    }

    pub(crate) fn on_frame(mut self, frame: impl Fn(&[u8], usize) -> FrameEnd + Send + Sync + 'static) -> Self {
        self.frame = Box::new(frame);
        self
    }

    pub(crate) fn on_close(mut self, close: impl Fn(&Handle, ConnId) + Send + Sync + 'static) -> Self {
        self.close = Box::new(close);
        self
    }

    pub(crate) fn start(self, setup: Setup, options: &Options) -> Running {
        self.start_at("127.0.0.1:0", setup.mode(), options).expect("the server starts")
    }

    pub(crate) fn start_at(self, address: &str, mode: Mode, options: &Options) -> Result<Running, reactor_core::Error> {
        let (openings, closings) =
            self.events.lock().expect("nobody panics with it").take().expect("it is started once");
        let server = Server::start(address, mode, options, self)?;
        Ok(Running { server, openings, closings })
    }
}

impl Handler for Service {
    type Data = ConnId;

    fn started(&self, server: &Handle) {
        self.server.set(server.clone()).expect("a server starts once");
    }

    fn open(&self, conn: ConnId, _peer: Peer) -> Option<ConnId> {
        let taken = (self.open)(self.server.get().expect("started was the first call"), conn);
        let _ = self.opened.send(conn);
        taken.then_some(conn)
    }

    fn process(&self, request: &[u8], reply: &mut Reply<'_, ConnId>) -> Result<(), Failed> {
        assert_eq!(reply.conn(), *reply.data(), "the data is another connection's");
        (self.process)(self.server.get().expect("started was the first call"), request, reply)
    }

    fn close(&self, conn: ConnId, reason: CloseReason, os_error: i32, data: ConnId) {
        assert_eq!(conn, data, "the data is another connection's");
        (self.close)(self.server.get().expect("started was the first call"), conn);
        let _ = self.closed.send(Closed { conn, reason, os_error });
    }

    fn frame(&self, _data: &ConnId, bytes: &[u8], seen: usize) -> FrameEnd {
        (self.frame)(bytes, seen)
    }
}

/// Writes the whole reply.
pub(crate) fn answer(reply: &mut Reply<'_, ConnId>, bytes: &[u8]) -> Result<(), Failed> {
    reply.write(bytes).map_err(|_| Failed)
}

/// A service that gives each request away: `(request, promise)`.
pub(crate) fn deferring() -> (Service, Receiver<(Vec<u8>, Deferred)>) {
    let (give, promises) = channel();
    let service = Service::new(move |_, request, reply| {
        let promise = reply.defer().map_err(|_| Failed)?;
        let _ = give.send((request.to_vec(), promise));
        Ok(())
    });
    (service, promises)
}

/// A server that is stopped, with no drain, when it is dropped.
pub(crate) struct Running {
    pub(crate) server: Server,
    openings: Receiver<ConnId>,
    closings: Receiver<Closed>,
}

impl Running {
    /// A client, whether or not the server takes it.
    pub(crate) fn dial(&self) -> Client {
        Client::to(self.server.local_address())
    }

    /// A client, and the connection that the server has for it. Not while another one dials.
    pub(crate) fn connect(&self) -> (Client, ConnId) {
        let client = self.dial();
        (client, self.opened())
    }

    pub(crate) fn opened(&self) -> ConnId {
        self.openings.recv_timeout(PATIENCE).expect("a connection is opened")
    }

    /// The next connection that ends.
    pub(crate) fn closed(&self) -> Closed {
        self.closings.recv_timeout(PATIENCE).expect("a connection is closed")
    }

    #[track_caller]
    pub(crate) fn closed_with(&self, reason: CloseReason) -> Closed {
        let closed = self.closed();
        assert_eq!(closed.reason, reason);
        closed
    }

    pub(crate) fn none_closed(&self) -> bool {
        self.closings.try_recv().is_err()
    }

    pub(crate) fn bytes_in(&self) -> u64 {
        self.server.stats(None).expect("all reactors together always have stats").bytes_in
    }

    /// Waits until the server has read so many bytes since its start.
    pub(crate) fn has_read(&self, bytes: u64) {
        until("the server has read the bytes", || self.bytes_in() >= bytes);
    }

    /// Waits until so many requests have been admitted since the start.
    pub(crate) fn has_admitted(&self, requests: u64) {
        until("the requests are admitted", || self.stats().requests >= requests);
    }

    pub(crate) fn stats(&self) -> reactor_core::Stats {
        self.server.stats(None).expect("all reactors together always have stats")
    }

    /// Lets connections come and go on each loop: what has not happened by then is not merely late on its way through
    /// the loop. All earlier connections must have been seen to open; those that close meanwhile go unseen.
    pub(crate) fn turn_over(&self) {
        // Enough at once that each loop gets some, wherever the earlier ones are.
        let clients: Vec<_> = (0..6).map(|_| self.connect()).collect();
        for (mut client, conn) in clients {
            client.finish();
            client.read_all();
            while self.closed().conn != conn {}
        }
    }
}

/// A client whose waits are bounded.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    pub(crate) fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("the timeout is not zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("the timeout is not zero");
        stream.set_nodelay(true).expect("the option is there");
        Client { stream }
    }

    /// The same connection, for another thread.
    pub(crate) fn twin(&self) -> Client {
        Client { stream: self.stream.try_clone().expect("a descriptor is left") }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.stream.local_addr().expect("it is connected")
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes it in time");
    }

    /// Whether the server took the connection and echoes on it.
    pub(crate) fn is_echoed(&mut self, bytes: &[u8]) -> bool {
        let mut echo = vec![0; bytes.len()];
        self.stream.write_all(bytes).is_ok() && self.stream.read_exact(&mut echo).is_ok() && echo == bytes
    }

    /// Sends as far as nobody has to wait for it; says how many bytes that were.
    pub(crate) fn send_at_once(&mut self, bytes: &[u8]) -> usize {
        self.stream.set_nonblocking(true).expect("the option is there");
        let mut sent = 0;
        while sent < bytes.len()
            && let Ok(count) = self.stream.write(&bytes[sent..])
        {
            sent += count;
        }
        self.stream.set_nonblocking(false).expect("the option is there");
        sent
    }

    /// FIN.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).expect("it is connected");
    }

    /// RST.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("the option is there");
    }

    #[track_caller]
    pub(crate) fn read(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match self.stream.read(&mut bytes[filled..]) {
                Ok(0) => panic!("the end came after {:?}, {filled} bytes of {len}", shown(&bytes[..filled])),
                Ok(count) => filled += count,
                Err(error) => panic!("{error} after {:?}, {filled} bytes of {len}", shown(&bytes[..filled])),
            }
        }
        bytes
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, bytes: &[u8]) {
        let read = self.read(bytes.len());
        assert!(read == bytes, "read {:?} where {:?} was due", shown(&read), shown(bytes));
    }

    /// All until the server's FIN.
    #[track_caller]
    pub(crate) fn read_all(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).expect("the server ends it in time, and without a reset");
        bytes
    }

    /// Just these bytes, then the server's FIN.
    #[track_caller]
    pub(crate) fn expect_last(&mut self, bytes: &[u8]) {
        let read = self.read_all();
        assert!(read == bytes, "read {:?} where {:?} and the end were due", shown(&read), shown(bytes));
    }

    #[track_caller]
    pub(crate) fn expect_reset(&mut self) {
        let mut bytes = Vec::new();
        let error = self.stream.read_to_end(&mut bytes).expect_err("the connection is reset");
        assert_eq!(error.kind(), IoErrorKind::ConnectionReset);
    }

    /// Nothing has arrived yet.
    #[track_caller]
    pub(crate) fn expect_nothing(&mut self) {
        self.stream.set_nonblocking(true).expect("the option is there");
        let mut byte = [0];
        let found = self.stream.peek(&mut byte);
        self.stream.set_nonblocking(false).expect("the option is there");
        let error = found.expect_err("nothing has arrived");
        assert_eq!(error.kind(), IoErrorKind::WouldBlock);
    }
}

/// The first bytes, for messages.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(100)]).into_owned()
}

/// Waits for what has no event of its own.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came that {what}");
        std::thread::yield_now();
    }
}

#[track_caller]
pub(crate) fn next<T>(events: &Receiver<T>) -> T {
    events.recv_timeout(PATIENCE).expect("it comes in time")
}

/// A number that threads wait for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<(Mutex<u64>, Condvar)>);

impl Tally {
    pub(crate) fn new() -> Self {
        Tally::default()
    }

    pub(crate) fn add(&self) {
        *self.0.0.lock().expect("nobody panics with it") += 1;
        self.0.1.notify_all();
    }

    pub(crate) fn get(&self) -> u64 {
        *self.0.0.lock().expect("nobody panics with it")
    }

    /// Waits until it is at least so much; says whether it came to that.
    #[must_use]
    pub(crate) fn reaches(&self, count: u64) -> bool {
        let guard = self.0.0.lock().expect("nobody panics with it");
        let (now, _) = self.0.1.wait_timeout_while(guard, PATIENCE, |now| *now < count).expect("nobody panics with it");
        *now >= count
    }
}

/// Pseudorandom numbers that a seed repeats: xorshift64*.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// Works for so long.
pub(crate) fn spin(time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}
