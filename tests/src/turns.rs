//! Owns waiting for a condition, and taking turns among tests that need much of the machine. Knows nothing of what is
//! waited for.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::DEADLINE;

/// Looks again and again until `ready`; for what has no event to wait on, such as the files of `/proc`.
///
/// # Panics
/// At the deadline, naming `what`.
pub fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !ready() {
        assert!(Instant::now() < deadline, "waited {DEADLINE:?} for {what}");
        thread::yield_now();
    }
}

/// For a test that holds thousands of sockets or floods the machine: no other such test of this process runs while the
/// guard lives.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed while it had its turn says so itself; the next one can go on.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
