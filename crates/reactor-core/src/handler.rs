//! Owns what a binding implements: [`Handler`], and the [`Reply`] it writes. Knows nothing of sockets, loops or
//! threads.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::call::Request;
use crate::conn_id::ConnId;
use crate::deferred::Deferred;
use crate::error::{Error, ErrorKind};
use crate::server::Handle;
use crate::shared::Shared;

/// What the user brings. One value serves all connections; its methods run on the server's threads.
///
/// A panic in a method costs the connection it was called for, and no more.
pub trait Handler: Send + Sync + 'static {
    /// What stays with a connection. A clone goes with its requests to other threads: `()`, a number, an `Arc`.
    type Data: Clone + Send + 'static;

    /// The server runs from here on: the first call, before any other and before
    /// [`Server::start`](crate::Server::start) returns. Not called where start fails.
    fn started(&self, server: &Handle) {
        let _ = server;
    }

    /// A connection was accepted. `None` drops it at once. Runs on the connection's reactor thread.
    fn open(&self, conn: ConnId, peer: Peer) -> Option<Self::Data>;

    /// Whether there is room for one more request of this connection. Asked before each is begun, or handed to the workers,
    /// on the connection's reactor thread, so it must be quick. After a `false` that request waits and the connection is
    /// not read, until [`Handle::resume`] has it asked again. A panic is a yes.
    fn has_room(&self, data: &Self::Data) -> bool {
        let _ = data;
        true
    }

    /// One request. What `reply` is given is sent in its place in the connection's order; one never written to sends
    /// nothing. Runs on the reactor's thread in SINGLE and in MULTI without workers, else on a worker's.
    ///
    /// # Errors
    /// [`Failed`] discards the reply and closes the connection once the replies before it are out. A promise that was kept
    /// by then is the answer until the failure is known: its reply may have left, and those that follow it in order too.
    fn process(&self, request: &[u8], reply: &mut Reply<'_, Self::Data>) -> Result<(), Failed>;

    /// A turn of this reactor's loop is over in which [`process`](Handler::process) was called on its thread: what was
    /// put together meanwhile can be handed on at once. Not called where workers run the requests.
    fn turn_over(&self, reactor: usize) {
        let _ = reactor;
    }

    /// The connection's last call, exactly once for each that [`open`](Handler::open) took; no
    /// [`process`](Handler::process) for it is still running. `os_error` is errno where `reason` is
    /// [`CloseReason::Reset`], else 0. Runs on the connection's reactor thread.
    fn close(&self, conn: ConnId, reason: CloseReason, os_error: i32, data: Self::Data) {
        let _ = (conn, reason, os_error, data);
    }

    /// With [`Framing::Custom`](crate::Framing::Custom): where does the first frame of `bytes` end? `seen` of them an
    /// earlier call has had. Runs on the connection's reactor thread.
    fn frame(&self, data: &Self::Data, bytes: &[u8], seen: usize) -> FrameEnd {
        let _ = (data, bytes, seen);
        FrameEnd::Refused
    }
}

/// What [`Handler::frame`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameEnd {
    /// The first frame is so many bytes long (more than there are: come back with at least so many). Not 0.
    At(usize),
    /// Cannot tell yet.
    Unknown,
    /// Not this protocol: close.
    Refused,
}

/// The handler failed on this request; its connection is closed with [`CloseReason::CallbackFailed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

/// Who connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub(crate) Option<SocketAddr>);

impl Peer {
    /// The address; `None` for unix sockets, whose clients have none.
    #[must_use]
    pub fn address(self) -> Option<SocketAddr> {
        self.0
    }
}

/// `HOST:PORT`, empty for unix sockets.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |address| address.fmt(f))
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum CloseReason {
    /// The peer finished, everything was answered.
    Peer = 0,
    /// The handler closed it.
    Local = 1,
    /// The server stopped.
    Shutdown = 2,
    /// The peer reset it, or a read or write failed.
    Reset = 3,
    /// No byte either way for the idle timeout.
    IdleTimeout = 4,
    /// A frame was begun and not finished in time.
    FrameTimeout = 5,
    /// The peer did not take its output in time.
    WriteTimeout = 6,
    /// A frame would have passed max_frame_bytes.
    FrameTooLarge = 7,
    /// The framing refused the bytes, or a partial frame stood at the end of input.
    ProtocolError = 8,
    /// A reply could not be framed within its limits.
    OutputLimit = 9,
    /// [`Handler::process`] failed or panicked, or a deferred reply failed.
    CallbackFailed = 10,
}

/// The answer being written, lent to [`Handler::process`].
pub struct Reply<'a, D> {
    request: &'a Request<'a, D>,
    shared: &'a Arc<Shared>,
    /// The reply's bytes are those from `start` on.
    buffer: &'a mut Vec<u8>,
    start: usize,
    /// Bytes after the end that reserve lent and commit may still take.
    reserved: usize,
    written: bool,
    closes: bool,
    deferred: bool,
}

impl<'a, D> Reply<'a, D> {
    pub(crate) fn new(request: &'a Request<'a, D>, buffer: &'a mut Vec<u8>, shared: &'a Arc<Shared>) -> Self {
        let start = buffer.len();
        Reply { request, shared, buffer, start, reserved: 0, written: false, closes: false, deferred: false }
    }

    /// The connection that asked.
    #[must_use]
    pub fn conn(&self) -> ConnId {
        self.request.conn
    }

    /// What [`Handler::open`] returned for it.
    #[must_use]
    pub fn data(&self) -> &D {
        self.request.data
    }

    /// Appends. An empty slice makes an empty reply a reply.
    ///
    /// # Errors
    /// `OverLimit` where the reply would pass the output limit; it stays as it was. `InvalidArgument` once it is
    /// deferred.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.room_for(bytes.len())?;
        self.buffer.extend_from_slice(bytes);
        self.written = true;
        Ok(())
    }

    /// Room for `len` bytes at the end of the reply, to be filled in place and taken by [`commit`](Reply::commit).
    /// Another call of the reply gives it back.
    ///
    /// # Errors
    /// `OverLimit` where the reply would pass the output limit. `InvalidArgument` once it is deferred.
    pub fn reserve(&mut self, len: usize) -> Result<&mut [u8], Error> {
        self.room_for(len)?;
        let end = self.buffer.len();
        self.buffer.resize(end + len, 0);
        self.reserved = len;
        Ok(&mut self.buffer[end..])
    }

    /// Takes the first `len` bytes of what [`reserve`](Reply::reserve) lent. 0 makes an empty reply a reply.
    ///
    /// # Errors
    /// `InvalidArgument` where that is more than was reserved.
    pub fn commit(&mut self, len: usize) -> Result<(), Error> {
        self.refuse_deferred()?;
        if len > self.reserved {
            return Err(Error::invalid(format!("committing {len} bytes of {} reserved", self.reserved)));
        }
        let end = self.buffer.len() - self.reserved;
        self.buffer.truncate(end + len);
        self.reserved = 0;
        self.written = true;
        Ok(())
    }

    /// Closes the connection once this reply is sent; later requests of it are not begun.
    ///
    /// # Errors
    /// `InvalidArgument` once it is deferred.
    pub fn close(&mut self) -> Result<(), Error> {
        self.refuse_deferred()?;
        self.closes = true;
        Ok(())
    }

    /// Answers later, from any thread: the reply stays open in its place in the order (in SERIAL the next request waits
    /// for it) until the promise is kept. What was written before is the reply's beginning.
    ///
    /// # Errors
    /// `InvalidArgument` once it is deferred.
    pub fn defer(&mut self) -> Result<Deferred, Error> {
        self.refuse_deferred()?;
        self.give_back_reserved();
        self.deferred = true;
        let begun = self.buffer.split_off(self.start);
        let Request { conn, number, payload, .. } = *self.request;
        Ok(Deferred::new(self.shared, conn, number, payload.len(), begun, self.closes))
    }

    fn refuse_deferred(&self) -> Result<(), Error> {
        if self.deferred {
            return Err(already_deferred());
        }
        Ok(())
    }

    #[inline]
    fn room_for(&mut self, len: usize) -> Result<(), Error> {
        self.refuse_deferred()?;
        self.give_back_reserved();
        let limit = self.shared.rules.message_limit_bytes;
        let now = self.buffer.len() - self.start;
        if len > limit - now {
            return Err(too_long(len, now, limit));
        }
        Ok(())
    }

    #[inline]
    fn give_back_reserved(&mut self) {
        if self.reserved > 0 {
            self.buffer.truncate(self.buffer.len() - self.reserved);
            self.reserved = 0;
        }
    }

    /// Ends the writing: gives back what was reserved and not committed.
    pub(crate) fn finish(mut self) -> Finished {
        self.give_back_reserved();
        Finished { written: self.written, closes: self.closes, deferred: self.deferred }
    }
}

#[cold]
fn already_deferred() -> Error {
    Error::invalid("the reply is deferred: what is left to say goes through the promise")
}

#[cold]
fn too_long(len: usize, now: usize, limit: usize) -> Error {
    let story = format!("adding {len} bytes to a reply of {now} would pass the limit, {limit}");
    Error::new(ErrorKind::OverLimit, story)
}

impl<D> fmt::Debug for Reply<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("conn", &self.request.conn)
            .field("len", &(self.buffer.len() - self.start))
            .field("closes", &self.closes)
            .finish_non_exhaustive()
    }
}

/// What a handler made of its reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finished {
    pub(crate) written: bool,
    pub(crate) closes: bool,
    pub(crate) deferred: bool,
}
