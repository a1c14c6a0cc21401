//! Owns what a thread of ours knows of the callback it is in: of which server, for which connection, and what has to
//! leave before that callback's reply. Knows nothing of how it leaves.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::conn_id::ConnId;
use crate::connection::Answer;
use crate::push::Push;

thread_local! {
    /// The server whose thread this is; 0 for threads that are not ours.
    static SERVER: Cell<usize> = const { Cell::new(0) };
    /// The connection whose request this thread runs.
    static CONN: Cell<ConnId> = const { Cell::new(ConnId::NONE) };
    /// A reactor thread: what its callback pushes to its own connection.
    static PUSHES: RefCell<Vec<Arc<Push>>> = const { RefCell::new(Vec::new()) };
    /// A worker thread: finished replies of the connection that are not posted yet.
    static UNPOSTED: RefCell<Option<Answer>> = const { RefCell::new(None) };
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
}

/// This thread serves `server` from here on.
pub(crate) fn enter_server(server: usize, is_worker: bool) {
    SERVER.set(server);
    IS_WORKER.set(is_worker);
}

/// Whether this is a thread of `server`, and so in one of its callbacks.
pub(crate) fn is_in(server: usize) -> bool {
    SERVER.get() == server
}

/// This thread runs a request of `conn`, or of none.
pub(crate) fn set_conn(conn: ConnId) {
    CONN.set(conn);
}

/// Where a push to `conn` belongs that this thread makes now.
pub(crate) enum Place {
    /// To the loop, by mail; what is in the option before it.
    Mail(Option<Answer>),
    /// Before the reply that is being written: [`keep`].
    BeforeReply,
}

/// Says where a push belongs that this thread makes now to `conn` of `server`.
pub(crate) fn place(server: usize, conn: ConnId) -> Place {
    if !is_in(server) || CONN.get() != conn {
        Place::Mail(None)
    } else if IS_WORKER.get() {
        Place::Mail(take_unposted())
    } else {
        Place::BeforeReply
    }
}

/// The connection whose request of `server` this thread runs.
pub(crate) fn conn_in(server: usize) -> ConnId {
    if is_in(server) { CONN.get() } else { ConnId::NONE }
}

/// Keeps a push until the callback has returned.
pub(crate) fn keep(push: Arc<Push>) {
    PUSHES.with_borrow_mut(|pushes| pushes.push(push));
}

/// What the callback that has returned pushed to its own connection.
pub(crate) fn take_pushes() -> Vec<Arc<Push>> {
    PUSHES.with_borrow_mut(std::mem::take)
}

/// The finished replies that wait to be posted.
pub(crate) fn take_unposted() -> Option<Answer> {
    UNPOSTED.with_borrow_mut(Option::take)
}

/// Looks at, or changes, the finished replies that wait to be posted.
pub(crate) fn with_unposted<T>(look: impl FnOnce(&mut Option<Answer>) -> T) -> T {
    UNPOSTED.with_borrow_mut(look)
}
