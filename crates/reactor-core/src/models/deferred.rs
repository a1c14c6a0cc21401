//! Models of a promise that is kept while its connection ends and its slot is used again: the answer names the old
//! connection, or nobody.

use std::sync::Arc;

use loom::thread;

use crate::conn_id::ConnId;
use crate::deferred::Deferred;
use crate::models::{explore, server};
use crate::shared::Message;

/// A late answer never names the connection that came after.
#[test]
fn a_promise_kept_while_the_slot_is_used_again_names_the_old_connection() {
    explore(None, || {
        let (shared, _waker) = server(1);
        let reactor = &shared.loops[0];
        let (old, new) = (ConnId::new(0, 1, 1), ConnId::new(0, 1, 2));
        reactor.slots.enter(old, None);
        let keeper = {
            let promise = Deferred::new(&shared, old, 0, 1, Vec::new(), false);
            thread::spawn(move || promise.complete(b"late").is_ok())
        };
        reactor.slots.leave(old);
        reactor.slots.enter(new, None);
        let taken = keeper.join().expect("it keeps its promise");
        let (mut mail, mut bytes) = (Vec::new(), Vec::new());
        reactor.mailbox.take(&mut mail, &mut bytes);
        let late: Vec<_> =
            mail.iter().map(|message| matches!(message, Message::Late(conn, _) if *conn == old)).collect();
        assert_eq!(late, vec![true; usize::from(taken)], "taken: it is in the mail, under the old name");
        assert!(reactor.slots.is_open(new) && !reactor.slots.is_open(old));
    });
}

/// What others count for a connection is not counted for its successor.
#[test]
fn a_push_counted_while_the_slot_is_used_again_counts_for_nobody_else() {
    explore(None, || {
        let (shared, _waker) = server(1);
        let (old, new) = (ConnId::new(0, 1, 1), ConnId::new(0, 1, 2));
        shared.loops[0].slots.enter(old, None);
        let sender = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.loops[0].slots.with(old, |known| known.mailed_bytes += 7).is_some())
        };
        shared.loops[0].slots.leave(old);
        shared.loops[0].slots.enter(new, None);
        sender.join().expect("it counts");
        assert_eq!(shared.loops[0].slots.with(new, |known| known.mailed_bytes), Some(0));
    });
}

/// A promise that is dropped fails its connection, also while the loop goes.
#[test]
fn a_promise_dropped_while_the_loop_goes_holds_nothing() {
    explore(None, || {
        let (shared, _waker) = server(1);
        let conn = ConnId::new(0, 1, 1);
        shared.loops[0].slots.enter(conn, None);
        let promise = Deferred::new(&shared, conn, 0, 1, Vec::new(), false);
        let keeper = thread::spawn(move || drop(promise));
        shared.loops[0].close_mailbox();
        keeper.join().expect("it drops its promise");
        assert_eq!(Arc::strong_count(&shared), 1, "nobody keeps the server");
    });
}
