//! Owns the server whose every callback is a closure, and what a suite asks of it while it runs. Knows nothing of what the
//! closures do.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use reactor_core::{
    CloseReason, ConnId, Deferred, Failed, FrameEnd, Handle, Handler, Mode, Options, Peer, Reply, Server,
};

use super::{Client, Closed, WAIT, Wiring, until};

type Process = dyn Fn(&Handle, &[u8], &mut Reply<'_, Opened>) -> Result<(), Failed> + Send + Sync;
type Open = dyn Fn(&Handle, ConnId) -> bool + Send + Sync;
type Frame = dyn Fn(&[u8], usize) -> FrameEnd + Send + Sync;
type Close = dyn Fn(&Handle, ConnId) + Send + Sync;

/// A connection's data: whose they are, and since when it is open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened {
    pub(crate) conn: ConnId,
    at: Instant,
}

/// A handler made of closures.
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
        process: impl Fn(&Handle, &[u8], &mut Reply<'_, Opened>) -> Result<(), Failed> + Send + Sync + 'static,
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

    pub(crate) fn start(self, wiring: Wiring, options: &Options) -> Running {
        self.start_at("127.0.0.1:0", wiring.mode(), options).expect("the server starts")
    }

    pub(crate) fn start_at(self, address: &str, mode: Mode, options: &Options) -> Result<Running, reactor_core::Error> {
        let (openings, closings) =
            self.events.lock().expect("nobody panics with it").take().expect("it is started once");
        let server = Server::start(address, mode, options, self)?;
        Ok(Running { server, openings, closings })
    }
}

impl Handler for Service {
    type Data = Opened;

    fn started(&self, server: &Handle) {
        self.server.set(server.clone()).expect("a server starts once");
    }

    fn open(&self, conn: ConnId, _peer: Peer) -> Option<Opened> {
        let taken = (self.open)(self.server.get().expect("started was the first call"), conn);
        let _ = self.opened.send(conn);
        taken.then(|| Opened { conn, at: Instant::now() })
    }

    fn process(&self, request: &[u8], reply: &mut Reply<'_, Opened>) -> Result<(), Failed> {
        assert_eq!(reply.conn(), reply.data().conn, "the data is another connection's");
        (self.process)(self.server.get().expect("started was the first call"), request, reply)
    }

    fn close(&self, conn: ConnId, reason: CloseReason, os_error: i32, opened: Opened) {
        assert_eq!(conn, opened.conn, "the data is another connection's");
        (self.close)(self.server.get().expect("started was the first call"), conn);
        let _ = self.closed.send(Closed { conn, reason, os_error, age: opened.at.elapsed() });
    }

    fn frame(&self, _data: &Opened, bytes: &[u8], seen: usize) -> FrameEnd {
        (self.frame)(bytes, seen)
    }
}

/// Writes the whole reply.
pub(crate) fn answer(reply: &mut Reply<'_, Opened>, bytes: &[u8]) -> Result<(), Failed> {
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
        Client::connect(&self.server)
    }

    /// A client, and the connection that the server has for it. Not while another one dials.
    pub(crate) fn connect(&self) -> (Client, ConnId) {
        let client = self.dial();
        (client, self.opened())
    }

    pub(crate) fn opened(&self) -> ConnId {
        self.openings.recv_timeout(WAIT).expect("a connection is opened")
    }

    /// The next connection that ends.
    pub(crate) fn closed(&self) -> Closed {
        self.closings.recv_timeout(WAIT).expect("a connection is closed")
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
        for (client, conn) in clients {
            client.finish();
            client.receive_to_end().expect("a FIN");
            while self.closed().conn != conn {}
        }
    }
}
