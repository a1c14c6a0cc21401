//! Owns how long a test waits, and the waits for what has no event of its own. Knows nothing of servers.

use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine: what has not come by then does not come.
pub(crate) const WAIT: Duration = Duration::from_secs(30);

/// Between two looks: not so short that looking takes the processor from what is looked for.
const PAUSE: Duration = Duration::from_millis(1);

/// Looks until it is so.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl FnMut() -> bool) {
    assert!(comes_within(WAIT, is_so), "{what}: not within {WAIT:?}");
}

/// Looks until it is so, or for so long; says whether it came to be so.
pub(crate) fn comes_within(wait: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + wait;
    while !is_so() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::park_timeout(PAUSE);
    }
    true
}

#[track_caller]
pub(crate) fn next<T>(events: &Receiver<T>) -> T {
    events.recv_timeout(WAIT).expect("it comes in time")
}

/// Works for so long.
pub(crate) fn spin(time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}
