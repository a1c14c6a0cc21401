//! Owns a promise to answer later, from any thread. Knows nothing of what has become of the connection but whether it
//! is still there.

use std::fmt;
use std::mem;
use std::sync::Arc;

use crate::batch::Batch;
use crate::conn_id::ConnId;
use crate::connection::Answer;
use crate::error::{Error, ErrorKind};
use crate::ordering::Ending;
use crate::push::frame;
use crate::shared::{Message, Shared};

/// A promise to answer later, in its place in the connection's order; made by [`Reply::defer`](crate::Reply::defer). It may
/// outlive its server. Dropping it is as good as [`fail`](Deferred::fail): nobody waits for ever.
///
/// # Examples
/// ```
/// # use std::io::{Read, Write};
/// # use reactor_core::{ConnId, Failed, Handler, Mode, Options, Peer, Reply, Server};
/// struct Later;
/// impl Handler for Later {
///     type Data = ();
///     fn open(&self, _conn: ConnId, _peer: Peer) -> Option<()> {
///         Some(())
///     }
///     fn process(&self, request: &[u8], reply: &mut Reply<'_, ()>) -> Result<(), Failed> {
///         let answer = request.to_ascii_uppercase();
///         let deferred = reply.defer().map_err(|_| Failed)?;
///         std::thread::spawn(move || deferred.complete(&answer));
///         Ok(())
///     }
/// }
/// # let server = Server::start("127.0.0.1:0", Mode::Single, &Options::new(), Later)?;
/// # let mut client = std::net::TcpStream::connect(server.local_address())?;
/// # client.write_all(b"hello")?;
/// # client.shutdown(std::net::Shutdown::Write)?;
/// # let mut answer = String::new();
/// # client.read_to_string(&mut answer)?;
/// # assert_eq!(answer, "HELLO");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Deferred {
    shared: Arc<Shared>,
    conn: ConnId,
    number: u64,
    request_bytes: usize,
    /// What the reply was given before it was deferred.
    begun: Vec<u8>,
    closes: bool,
    open: bool,
}

impl Deferred {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        conn: ConnId,
        number: u64,
        request_bytes: usize,
        begun: Vec<u8>,
        closes: bool,
    ) -> Self {
        Deferred { shared: Arc::clone(shared), conn, number, request_bytes, begun, closes, open: true }
    }

    /// The connection that asked.
    #[must_use]
    pub fn conn(&self) -> ConnId {
        self.conn
    }

    /// Appends `bytes` to what was written before, and sends the reply.
    ///
    /// # Errors
    /// `Gone`, harmlessly, where the connection has ended. `OverLimit` where the reply would pass the output limit: the
    /// connection is closed with [`CloseReason::OutputLimit`](crate::CloseReason::OutputLimit).
    pub fn complete(mut self, bytes: &[u8]) -> Result<(), Error> {
        let ending = self.ending();
        self.answer(bytes, ending, None)
    }

    /// As [`complete`](Deferred::complete); the connection is closed once the reply is sent.
    ///
    /// # Errors
    /// As there.
    pub fn complete_and_close(mut self, bytes: &[u8]) -> Result<(), Error> {
        self.answer(bytes, Ending::Close, None)
    }

    /// Sends what was written before, or nothing where nothing was: the request has no reply.
    ///
    /// # Errors
    /// `Gone`, harmlessly, where the connection has ended.
    pub fn skip(mut self) -> Result<(), Error> {
        let ending = self.ending();
        self.skip_with(ending, None)
    }

    /// As [`skip`](Deferred::skip); the connection is closed in the reply's place.
    ///
    /// # Errors
    /// As there.
    pub fn skip_and_close(mut self) -> Result<(), Error> {
        self.skip_with(Ending::Close, None)
    }

    /// Discards the reply, and closes the connection with
    /// [`CloseReason::CallbackFailed`](crate::CloseReason::CallbackFailed) once the replies before it are out.
    ///
    /// # Errors
    /// `Gone`, harmlessly, where the connection has ended.
    pub fn fail(mut self) -> Result<(), Error> {
        self.answer(&[], Ending::Failed, None)
    }

    /// How it ends where who keeps the promise does not say.
    pub(crate) fn ending(&self) -> Ending {
        if self.closes { Ending::Close } else { Ending::Continue }
    }

    pub(crate) fn skip_with(&mut self, ending: Ending, batch: Option<&mut Batch>) -> Result<(), Error> {
        if self.begun.is_empty() { self.post(Vec::new(), ending, batch) } else { self.answer(&[], ending, batch) }
    }

    /// Answers at once, or within `batch`.
    pub(crate) fn answer(&mut self, bytes: &[u8], ending: Ending, batch: Option<&mut Batch>) -> Result<(), Error> {
        let begun = mem::take(&mut self.begun);
        let limit = self.shared.rules.message_limit_bytes;
        let too_long = ending != Ending::Failed && begun.len().saturating_add(bytes.len()) > limit;
        let (reply, ending) = match ending {
            Ending::Continue | Ending::Close if too_long => (Vec::new(), Ending::TooLarge),
            Ending::Continue | Ending::Close => (frame(&self.shared.rules.framer, &[&begun, bytes]), ending),
            Ending::Failed | Ending::TooLarge => (Vec::new(), ending),
        };
        self.post(reply, ending, batch)?;
        if too_long {
            return Err(Error::new(
                ErrorKind::OverLimit,
                format!("a reply of {} bytes would pass the limit, {limit}", begun.len().saturating_add(bytes.len())),
            ));
        }
        Ok(())
    }

    fn post(&mut self, bytes: Vec<u8>, ending: Ending, batch: Option<&mut Batch>) -> Result<(), Error> {
        self.open = false;
        let conn = self.conn;
        if !self.shared.is_open(conn) {
            let story = format!("answering request {} of connection {conn}: it has ended", self.number);
            return Err(Error::new(ErrorKind::Gone, story));
        }
        let answer = Answer { first: self.number, count: 1, request_bytes: self.request_bytes, bytes, ending };
        let message = Message::Late(conn, answer);
        match batch {
            Some(batch) => batch.hold(&self.shared, conn, message),
            None => self.shared.post(conn, message),
        }
        Ok(())
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        if self.open {
            let _ = self.answer(&[], Ending::Failed, None);
        }
    }
}

impl fmt::Debug for Deferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deferred").field("conn", &self.conn).field("number", &self.number).finish_non_exhaustive()
    }
}
