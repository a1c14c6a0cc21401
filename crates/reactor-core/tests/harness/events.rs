//! Owns the server of one closure that tells of its connections by events. Knows nothing of what the closure does.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use reactor_core::{CloseReason, ConnId, Failed, Handle, Handler, Options, Peer, Reply, Server};

use super::{Closed, Gate, WAIT, Wiring};

/// What the handler of [`serve`] saw.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Opened(ConnId),
    Closed(Closed),
    /// The handler itself was dropped.
    Dropped,
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
    /// Since when it is open; no more, for the suite of memory measures what a connection costs.
    type Data = Instant;

    fn started(&self, server: &Handle) {
        self.handle.set(server.clone()).expect("a server starts once");
    }

    fn open(&self, conn: ConnId, _peer: Peer) -> Option<Instant> {
        // Before it is told: a gate that is shut after that is not for this one.
        let shut = self.gate.is_shut();
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
