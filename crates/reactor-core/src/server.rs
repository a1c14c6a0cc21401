//! Owns the public face: start, stop, wait. How loops, listener and workers are wired is what the modes are.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::address::Address;
use crate::budget::Budget;
use crate::config::STUCK_CALLBACK_MS;
use crate::conn_id::ConnId;
use crate::connection::Rules;
use crate::crew::{Crew, grow_descriptor_table, poller, pollers};
use crate::error::{Error, ErrorKind};
use crate::handler::{Handler, Peer};
use crate::listener::Listener;
use crate::mailbox::Mailbox;
use crate::options::{Mode, Options};
use crate::push::Push;
use crate::scene::{self, Place};
use crate::shared::{LoopShared, Message, Presence, Progress, Shared, in_callback};
use crate::stats::{self, Stats};
use crate::stop::StopSignal;

/// A running server, and its owner: dropping it stops it with no drain.
///
/// # Examples
/// ```
/// use std::io::{Read, Write};
/// use reactor_core::{ConnId, Failed, Handler, Mode, Options, Peer, Reply, Server};
///
/// struct Echo;
/// impl Handler for Echo {
///     type Data = ();
///     fn open(&self, _conn: ConnId, _peer: Peer) -> Option<()> {
///         Some(())
///     }
///     fn process(&self, request: &[u8], reply: &mut Reply<'_, ()>) -> Result<(), Failed> {
///         reply.write(request).map_err(|_| Failed)
///     }
/// }
///
/// let server = Server::start("127.0.0.1:0", Mode::Single, &Options::new(), Echo)?;
/// let mut client = std::net::TcpStream::connect(server.local_address())?;
/// client.write_all(b"hello")?;
/// client.shutdown(std::net::Shutdown::Write)?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert_eq!(answer, "hello");
///
/// server.request_stop(1_000);
/// assert_eq!(server.wait()?.report.connections_aborted, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Server {
    handle: Handle,
}

impl Server {
    /// Starts a server; it listens when this returns. `addr` is `HOST:PORT`, `[V6]:PORT` or `unix:PATH`; port 0 picks
    /// one. A name is resolved, and the first of its addresses that can be bound is taken, IPv4 first.
    ///
    /// # Errors
    /// `InvalidAddress`, `AddressInUse`, `AddressUnavailable`, `PermissionDenied`; `InvalidArgument` where the options
    /// contradict the mode or each other; `OutOfResources`; `Io`. No method of the handler was or will be called.
    pub fn start<H: Handler>(addr: &str, mode: Mode, options: &Options, handler: H) -> Result<Server, Error> {
        let config = options.check(mode)?;
        let listener = Listener::bind(&Address::parse(addr)?, &config)?;
        grow_descriptor_table(&listener, config.max_connections);
        let (wakers, polls) = pollers(config.reactors)?;
        let (main_waker, main_poll) = match mode {
            Mode::Single | Mode::Pooled => (None, None),
            Mode::Multi => {
                let (poll, waker) = poller()?;
                (Some(waker), Some(poll))
            }
        };
        let shared = Arc::new(Shared {
            local_address: listener.local_address().to_owned(),
            loops: wakers.into_iter().map(|waker| LoopShared::new(Mailbox::<Message>::new(waker))).collect(),
            main: main_waker.map(Mailbox::new),
            workers: std::iter::repeat_with(Progress::default).take(config.workers).collect(),
            farewell: Progress::default(),
            stop: StopSignal::new()
                .map_err(|error| Error::os("making the pair of sockets that tells of a stop", error))?,
            presence: Arc::new(Presence::default()),
            budget: Budget::new(config.memory_limit_bytes),
            accept_errors: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            loops_left: AtomicU64::new(config.reactors as u64),
            rules: Rules::new(config),
        });
        let handle = Handle { shared: Arc::clone(&shared) };
        let mut crew = Crew::new(handler, shared);
        crew.hire(polls, main_poll, listener)?;
        crew.handler().started(&handle);
        crew.open_gates();
        Ok(Server { handle })
    }

    /// A handle that other threads can keep.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Deref for Server {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.request_stop(0);
        // Inside a callback it cannot wait: the threads end by themselves.
        let _ = self.wait();
    }
}

/// What any thread may ask of a server. It keeps nothing running.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("local_address", &self.shared.local_address).finish_non_exhaustive()
    }
}

/// What a stop came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Connections of which everything was answered and flushed.
    pub connections_drained: u64,
    /// Connections cut at the deadline, or before it with something unanswered or unsent.
    pub connections_aborted: u64,
    /// Requests answered after the stop was asked for, counted as [`Stats::replies`] are: their replies may be lost with
    /// a connection that is cut.
    pub requests_completed: u64,
    /// Requests admitted, and not answered by the deadline.
    pub requests_abandoned: u64,
    /// Output that the system had not taken by the deadline, in bytes. Replies that waited for an earlier one are not in
    /// it.
    pub bytes_unsent: u64,
    /// Callbacks that had not returned by the deadline, the handler's drop among them.
    pub callbacks_running: u64,
}

/// How [`Handle::wait`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What the stop came to.
    pub report: DrainReport,
    /// The deadline passed while a callback was still running: its connection's `close` and the drop of the handler
    /// follow that callback's return.
    pub timed_out: bool,
}

impl Handle {
    /// Where the server listens: `HOST:PORT` with the port that was picked, or `unix:PATH`.
    #[must_use]
    pub fn local_address(&self) -> &str {
        &self.shared.local_address
    }

    /// Stops accepting, answers what was admitted, flushes, closes; after the timeout cuts what is left. Returns at
    /// once. Any thread, any number of times: the earliest deadline holds. It takes no lock and allocates nothing, so that
    /// a signal handler may call it; only errno may change.
    pub fn request_stop(&self, drain_timeout_ms: u32) {
        self.shared.request_stop(drain_timeout_ms);
    }

    /// Whether this thread is in a callback of this server.
    #[must_use]
    pub fn is_inside_callback(&self) -> bool {
        scene::is_in(self.identity())
    }

    /// Queues bytes that no request asked for; framed as one message where the framing strips. In a callback for the same
    /// connection they leave before that callback's reply, never inside one. They are dropped where the connection ends
    /// before they leave; one that was sent its last reply and our FIN counts as open until its peer has closed too, or
    /// for 2 s, and nothing more leaves by it. Any thread.
    ///
    /// # Errors
    /// `Gone` for a connection that has ended, `OverLimit` where its output or the memory of all is full.
    pub fn send(&self, conn: ConnId, bytes: &[u8]) -> Result<(), Error> {
        let shared = &self.shared;
        let gone = || gone("sending to", conn);
        // Whether there was room for it is no news of a connection that has ended.
        let reactor = shared.loop_of(conn).filter(|reactor| reactor.slots.is_open(conn)).ok_or_else(gone)?;
        self.check_push(bytes)?;
        let push = Push::new(shared, bytes);
        let limit = shared.rules.config.output_limit_bytes;
        let taken = reactor.slots.with(conn, |known| {
            let output = known.unsent_bytes + known.mailed_bytes;
            let fits = output.saturating_add(push.len()) <= limit;
            if fits {
                known.mailed_bytes += push.len();
            }
            (fits, output)
        });
        let (fits, output) = taken.ok_or_else(gone)?;
        if !fits {
            return Err(Error::new(
                ErrorKind::OverLimit,
                format!(
                    "sending {} bytes to connection {conn}: {output} bytes are unsent, output_limit_bytes is {limit}",
                    push.len()
                ),
            ));
        }
        match scene::place(self.identity(), conn) {
            Place::BeforeReply => scene::keep(push),
            Place::Mail(unposted) => {
                if let Some(answer) = unposted {
                    reactor.post_answer(conn, answer);
                }
                reactor.mailbox.post(Message::Push(conn, push));
            }
        }
        Ok(())
    }

    /// As [`send`](Handle::send), to every open connection; one whose output is full is skipped. Returns the number of
    /// connections open when it was queued, those that are skipped included. One copy of the bytes serves all. From
    /// [`Handler::open`] it is also the greeting of the new connection, which does not count as open yet. Any thread.
    ///
    /// # Errors
    /// `OverLimit` where the memory of all is full. `Gone` once the server has stopped.
    pub fn broadcast(&self, bytes: &[u8]) -> Result<u64, Error> {
        let shared = &self.shared;
        self.check_push(bytes)?;
        if shared.presence.is_over() {
            return Err(Error::new(ErrorKind::Gone, "broadcasting: the server has stopped"));
        }
        let push = Push::new(shared, bytes);
        let mut except = ConnId::NONE;
        let own = scene::conn_in(self.identity());
        if own != ConnId::NONE && self.send(own, bytes).is_ok() {
            except = own;
        }
        for reactor in &shared.loops {
            reactor.mailbox.post(Message::Broadcast(Arc::clone(&push), except));
        }
        Ok(shared.loops.iter().map(|reactor| reactor.stats.open.get()).sum())
    }

    fn check_push(&self, bytes: &[u8]) -> Result<(), Error> {
        let rules = &self.shared.rules;
        if bytes.len() > rules.message_limit_bytes {
            let limit = rules.message_limit_bytes;
            let story = format!("a message of {} bytes would pass the limit, {limit}", bytes.len());
            return Err(Error::new(ErrorKind::OverLimit, story));
        }
        if !self.shared.budget.has_room(bytes.len()) {
            let used = self.shared.budget.used_bytes();
            let limit = rules.config.memory_limit_bytes;
            let story = format!(
                "pushing {} bytes: all connections together hold {used} bytes, memory_limit_bytes is {limit}",
                bytes.len()
            );
            return Err(Error::new(ErrorKind::OverLimit, story));
        }
        Ok(())
    }

    /// Ends a connection: what was admitted is answered, flushed, then it is closed. Any thread.
    ///
    /// # Errors
    /// `Gone` for a connection that has ended.
    pub fn close(&self, conn: ConnId) -> Result<(), Error> {
        self.ask("closing", conn, Message::Close(conn))
    }

    /// Cuts a connection now, unsent bytes and all. Any thread.
    ///
    /// # Errors
    /// `Gone` for a connection that has ended.
    pub fn abort(&self, conn: ConnId) -> Result<(), Error> {
        self.ask("aborting", conn, Message::Abort(conn))
    }

    /// Offers the requests again that [`Handler::has_room`] had no room for. Any thread; also before there was one.
    pub fn resume(&self) {
        for reactor in &self.shared.loops {
            reactor.mailbox.post(Message::Resume);
        }
    }

    fn ask(&self, what: &str, conn: ConnId, message: Message) -> Result<(), Error> {
        if !self.shared.is_open(conn) {
            return Err(gone(what, conn));
        }
        self.shared.post(conn, message);
        Ok(())
    }

    /// Who is at the other end; `None` for a connection that has ended. Any thread.
    #[must_use]
    pub fn peer(&self, conn: ConnId) -> Option<Peer> {
        self.shared.loop_of(conn)?.slots.with(conn, |known| Peer(known.peer))
    }

    /// What the server has counted: one reactor thread, or all together. Any thread.
    ///
    /// # Errors
    /// `InvalidArgument` where there is no reactor of this number.
    pub fn stats(&self, reactor: Option<usize>) -> Result<Stats, Error> {
        let shared = &self.shared;
        let Some(index) = reactor else {
            let mut total = stats::sum(shared.loops.iter().map(|reactor| &reactor.stats));
            total.accept_errors = shared.accept_errors.load(Ordering::Relaxed);
            let refused = shared.refused.load(Ordering::Relaxed);
            total.connections_refused += refused;
            total.connections_accepted += refused;
            total.memory_bytes = shared.budget.used_bytes() as u64;
            return Ok(total);
        };
        let one = shared.loops.get(index).ok_or_else(|| {
            Error::invalid(format!("reactor {index} is asked for, and there are {}", shared.loops.len()))
        })?;
        Ok(stats::sum(std::iter::once(&one.stats)))
    }

    fn identity(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// Blocks until the server has stopped: each connection's `close` has returned and the handler is dropped, or a
    /// callback had not returned when the deadline came.
    ///
    /// # Errors
    /// `WouldDeadlock` inside a callback of this server.
    pub fn wait(&self) -> Result<Ended, Error> {
        if self.is_inside_callback() {
            return Err(Error::new(
                ErrorKind::WouldDeadlock,
                "waiting for a server inside one of its own callbacks, which it waits for in turn",
            ));
        }
        let shared = &self.shared;
        shared.stop.wait_for_request();
        let mut steps = Vec::new();
        // A drain is short, and its deadline may come nearer from a signal handler, which can notify nobody: look
        // often. Without a stop nobody is here.
        while !shared.presence.wait(Duration::from_millis(STUCK_CALLBACK_MS)) {
            let now_ms = shared.stop.now_ms();
            if shared.stop.deadline_ms().is_none_or(|deadline_ms| now_ms < deadline_ms) {
                continue;
            }
            let before = std::mem::replace(&mut steps, shared.steps());
            let stuck: Vec<bool> =
                steps.iter().zip(&before).map(|(now, before)| now == before && in_callback(*now)).collect();
            let loops_done = shared.loops.iter().zip(&stuck).all(|(reactor, stuck)| reactor.is_cut() || *stuck);
            if loops_done && stuck.contains(&true) {
                return Ok(Ended { report: shared.report(&stuck), timed_out: true });
            }
        }
        Ok(Ended { report: shared.report(&[]), timed_out: false })
    }
}

fn gone(what: &str, conn: ConnId) -> Error {
    Error::new(ErrorKind::Gone, format!("{what} connection {conn}: it has ended"))
}

impl Shared {
    /// The report of the stop; `stuck` says of each thread, loops first, whether it is in a callback that does not
    /// return.
    fn report(&self, stuck: &[bool]) -> DrainReport {
        let mut report = DrainReport {
            callbacks_running: stuck.iter().filter(|stuck| **stuck).count() as u64,
            ..DrainReport::default()
        };
        for (position, reactor) in self.loops.iter().enumerate() {
            let drain = &reactor.stats.drain;
            report.connections_drained += drain.connections_drained.get();
            report.connections_aborted += drain.connections_aborted.get();
            report.requests_completed += drain.requests_completed.get();
            report.requests_abandoned += drain.requests_abandoned.get();
            report.bytes_unsent += drain.bytes_unsent.get();
            if stuck.get(position) == Some(&true) && !reactor.is_cut() {
                // It could not cut its connections itself.
                report.connections_aborted += reactor.stats.open.get();
                report.requests_abandoned += reactor.stats.in_flight.get();
            }
        }
        report
    }
}
