//! Owns the way into the user's code: one request, its reply framed, a panic contained, the thread marked as being in
//! a callback. Knows nothing of who calls.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::conn_id::ConnId;
use crate::handler::{Failed, Handler, Reply};
use crate::ordering::Ending;
use crate::scene;
use crate::shared::{Progress, Shared};

/// Calls `callback`, with the thread marked; `None` where it panicked.
pub(crate) fn contained<T>(conn: ConnId, what: &str, progress: &Progress, callback: impl FnOnce() -> T) -> Option<T> {
    progress.step();
    // Unwind safety: what the callback shares with us is the reply's buffer, which is cut back to where it was, and
    // the handler, whose own state is its own affair.
    let result = catch_unwind(AssertUnwindSafe(callback));
    progress.step();
    result.inspect_err(|panic| log::error!("connection {conn}: {what} panicked: {}", message_of(panic.as_ref()))).ok()
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Whether the handler has room for a request. Costs nothing where it always has: there is nothing to catch then.
pub(crate) fn has_room<H: Handler>(handler: &H, conn: ConnId, data: &H::Data) -> bool {
    // Unwind safety: as in `contained`; a loop shares nothing with it.
    let room = catch_unwind(AssertUnwindSafe(|| handler.has_room(data)));
    room.unwrap_or_else(|panic| {
        log::error!("connection {conn}: has_room panicked: {}", message_of(panic.as_ref()));
        true
    })
}

/// Tells the handler that a turn is over. Costs nothing where it does not want to know.
pub(crate) fn turn_over<H: Handler>(handler: &H, reactor: usize) {
    // Unwind safety: as in `contained`; a loop shares nothing with it.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| handler.turn_over(reactor))) {
        log::error!("reactor {reactor}: turn_over panicked: {}", message_of(panic.as_ref()));
    }
}

/// A request on its way to the handler.
pub(crate) struct Request<'a, D> {
    pub(crate) conn: ConnId,
    pub(crate) data: &'a D,
    /// Counted by the connection, from 0.
    pub(crate) number: u64,
    pub(crate) payload: &'a [u8],
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The reply stands, framed, at the end of the output.
    Answered(Ending),
    /// It comes later. `last`: it closes the connection, so that nothing later begins.
    Deferred {
        /// Whether the callback closed the reply before it deferred it.
        last: bool,
    },
}

/// Runs one request; its reply, framed, is appended to `output`. Says too whether the callback pushed to its own
/// connection: [`scene::take_pushes`].
pub(crate) fn process<H: Handler>(
    handler: &H,
    shared: &Arc<Shared>,
    progress: &Progress,
    request: &Request<'_, H::Data>,
    output: &mut Vec<u8>,
) -> (Outcome, bool) {
    let start = output.len();
    let framer = &shared.rules.framer;
    framer.begin_message(output);
    let (result, pushed) = scene::within(request.conn, || {
        contained(request.conn, "process", progress, || {
            let mut reply = Reply::new(request, output, shared);
            let result = handler.process(request.payload, &mut reply);
            (result, reply.finish())
        })
    });
    let outcome = match result {
        Some((Ok(()), finished)) if finished.deferred => {
            output.truncate(start);
            Outcome::Deferred { last: finished.closes }
        }
        Some((Ok(()), finished)) => {
            if finished.written {
                framer.end_message(output, start);
            } else {
                output.truncate(start);
            }
            Outcome::Answered(if finished.closes { Ending::Close } else { Ending::Continue })
        }
        Some((Err(Failed), _)) | None => {
            output.truncate(start);
            Outcome::Answered(Ending::Failed)
        }
    };
    (outcome, pushed)
}
