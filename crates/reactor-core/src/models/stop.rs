//! Models of the stop: the earliest deadline wins, and no loop sleeps through it.

use std::sync::Arc;

use loom::thread;

use crate::conn_id::ConnId;
use crate::models::{explore, server};
use crate::shared::Message;

/// A stop takes no lock and posts nothing: the loop must see it, or be woken.
#[test]
fn a_loop_that_falls_asleep_wakes_up_for_a_stop() {
    explore(None, || {
        let (shared, waker) = server(1);
        let stopper = Arc::clone(&shared);
        let stopper = thread::spawn(move || stopper.request_stop(1_000));
        let asked = || shared.stop.deadline_ms().is_some();
        while !asked() {
            if shared.loops[0].mailbox.sleep(asked) {
                waker.wait();
            }
            shared.loops[0].mailbox.awake();
        }
        stopper.join().expect("it asks");
    });
}

/// Two stops at once, as from a callback and a signal handler: the earlier deadline holds, whoever is last.
#[test]
fn of_several_stops_the_earliest_deadline_holds() {
    explore(None, || {
        let (shared, _waker) = server(1);
        let stoppers: Vec<_> = [1_000_000, 1_000, 500_000]
            .map(|drain_ms| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.stop.request(drain_ms))
            })
            .into();
        for stopper in stoppers {
            stopper.join().expect("it asks");
        }
        let deadline_ms = shared.stop.deadline_ms().expect("three have asked");
        assert!(deadline_ms < 400_000, "{deadline_ms}");
    });
}

/// A stop beside mail: the loop learns of both.
#[test]
fn a_stop_and_a_message_at_once_are_both_seen() {
    explore(Some(3), || {
        let (shared, waker) = server(1);
        let (stopper, poster) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = [
            thread::spawn(move || stopper.request_stop(0)),
            thread::spawn(move || poster.loops[0].mailbox.post(Message::Close(ConnId::NONE))),
        ];
        let (mut mail, mut bytes, mut taken, mut draining) = (Vec::new(), Vec::new(), 0, false);
        while taken == 0 || !draining {
            // As `EventLoop::sleep` asks.
            let asked = || !draining && shared.stop.deadline_ms().is_some();
            if shared.loops[0].mailbox.sleep(asked) {
                waker.wait();
            }
            shared.loops[0].mailbox.awake();
            shared.loops[0].mailbox.take(&mut mail, &mut bytes);
            taken += mail.drain(..).count();
            draining |= shared.stop.deadline_ms().is_some();
        }
        for thread in threads {
            thread.join().expect("it asks");
        }
    });
}
