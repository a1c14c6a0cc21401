//! Owns deferred replies that are given together, so that each loop takes one lock and one wake-up for all of its own.
//! Knows nothing of where they come from.

use std::fmt;
use std::sync::Arc;

use crate::conn_id::ConnId;
use crate::deferred::Deferred;
use crate::error::Error;
use crate::ordering::Ending;
use crate::shared::{Message, Shared};

/// Deferred replies that leave together: with [`post`](Batch::post), or when it is dropped. Until then nobody is
/// answered, so it is for replies that are all at hand. Those to one connection keep the order in which they came in.
///
/// # Examples
/// ```
/// use reactor_core::{Batch, Deferred};
///
/// fn answer_all(ready: Vec<(Deferred, Vec<u8>)>) {
///     let mut batch = Batch::new();
///     for (deferred, reply) in ready {
///         // An error is that of its own connection: the others are answered.
///         let _ = batch.complete(deferred, &reply);
///     }
///     batch.post();
/// }
/// ```
#[derive(Default)]
pub struct Batch {
    /// The server that `mail` is for.
    shared: Option<Arc<Shared>>,
    /// What waits for each of its loops.
    mail: Vec<Vec<Message>>,
}

impl Batch {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Batch::default()
    }

    /// As [`Deferred::complete`].
    ///
    /// # Errors
    /// As there.
    pub fn complete(&mut self, mut deferred: Deferred, bytes: &[u8]) -> Result<(), Error> {
        let ending = deferred.ending();
        deferred.answer(bytes, ending, Some(self))
    }

    /// As [`Deferred::complete_and_close`].
    ///
    /// # Errors
    /// As there.
    pub fn complete_and_close(&mut self, mut deferred: Deferred, bytes: &[u8]) -> Result<(), Error> {
        deferred.answer(bytes, Ending::Close, Some(self))
    }

    /// As [`Deferred::skip`].
    ///
    /// # Errors
    /// As there.
    pub fn skip(&mut self, mut deferred: Deferred) -> Result<(), Error> {
        let ending = deferred.ending();
        deferred.skip_with(ending, Some(self))
    }

    /// As [`Deferred::skip_and_close`].
    ///
    /// # Errors
    /// As there.
    pub fn skip_and_close(&mut self, mut deferred: Deferred) -> Result<(), Error> {
        deferred.skip_with(Ending::Close, Some(self))
    }

    /// As [`Deferred::fail`].
    ///
    /// # Errors
    /// As there.
    pub fn fail(&mut self, mut deferred: Deferred) -> Result<(), Error> {
        deferred.answer(&[], Ending::Failed, Some(self))
    }

    /// Lets all of it go; it may be filled again.
    pub fn post(&mut self) {
        let Some(shared) = self.shared.take() else { return };
        for (reactor, messages) in shared.loops.iter().zip(&mut self.mail) {
            reactor.mailbox.post_all(messages);
        }
    }

    /// Keeps a message for the loop that owns the connection.
    pub(crate) fn hold(&mut self, shared: &Arc<Shared>, conn: ConnId, message: Message) {
        if !self.shared.as_ref().is_some_and(|former| Arc::ptr_eq(former, shared)) {
            // One server's at a time: there is hardly ever a second.
            self.post();
            self.mail.resize_with(shared.loops.len(), Vec::new);
            self.shared = Some(Arc::clone(shared));
        }
        if let Some(mail) = self.mail.get_mut(conn.reactor()) {
            mail.push(message);
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.post();
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("replies", &self.mail.iter().map(Vec::len).sum::<usize>()).finish_non_exhaustive()
    }
}
