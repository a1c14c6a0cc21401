//! Owns what a thread of ours knows of the callback it is in: of which server, for which connection, and what has to
//! leave before that callback's reply. Knows nothing of how it leaves.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::conn_id::ConnId;
use crate::connection::Answer;
use crate::push::Push;

/// What the callback may ask about. Plain cells in one place: each way to a thread's own variables costs a call in a shared
/// object (ELF Handling For Thread-Local Storage, section 3.1), and every request comes by here.
struct Scene {
    /// The server whose thread this is; 0 for threads that are not ours.
    server: Cell<usize>,
    is_worker: Cell<bool>,
    /// The connection whose request this thread runs.
    conn: Cell<ConnId>,
    /// A reactor thread: its callback has pushed to its own connection, and `PUSHES` has what.
    pushed: Cell<bool>,
}

thread_local! {
    static SCENE: Scene = const {
        Scene {
            server: Cell::new(0),
            is_worker: Cell::new(false),
            conn: Cell::new(ConnId::NONE),
            pushed: Cell::new(false),
        }
    };
    /// A reactor thread: what its callback pushes to its own connection.
    static PUSHES: RefCell<Vec<Arc<Push>>> = const { RefCell::new(Vec::new()) };
    /// A worker thread: finished replies of the connection that are not posted yet.
    static UNPOSTED: RefCell<Option<Answer>> = const { RefCell::new(None) };
}

/// This thread serves `server` from here on.
pub(crate) fn enter_server(server: usize, is_worker: bool) {
    SCENE.with(|scene| {
        scene.server.set(server);
        scene.is_worker.set(is_worker);
    });
}

/// Whether this is a thread of `server`, and so in one of its callbacks.
pub(crate) fn is_in(server: usize) -> bool {
    SCENE.with(|scene| scene.server.get()) == server
}

/// Runs a callback for `conn`, which contains its panics. Says what it gave, and whether it pushed to its own connection:
/// then [`take_pushes`] has what.
pub(crate) fn within<T>(conn: ConnId, callback: impl FnOnce() -> T) -> (T, bool) {
    SCENE.with(|scene| {
        scene.conn.set(conn);
        let given = callback();
        scene.conn.set(ConnId::NONE);
        (given, scene.pushed.replace(false))
    })
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
    if conn_in(server) != conn {
        Place::Mail(None)
    } else if SCENE.with(|scene| scene.is_worker.get()) {
        Place::Mail(take_unposted())
    } else {
        Place::BeforeReply
    }
}

/// The connection whose request of `server` this thread runs.
pub(crate) fn conn_in(server: usize) -> ConnId {
    SCENE.with(|scene| if scene.server.get() == server { scene.conn.get() } else { ConnId::NONE })
}

/// Keeps a push until the callback has returned.
pub(crate) fn keep(push: Arc<Push>) {
    SCENE.with(|scene| scene.pushed.set(true));
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
