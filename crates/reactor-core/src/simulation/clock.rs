//! Owns the time of a simulated run, in milliseconds. It stands still unless it is moved.

use std::cell::Cell;

thread_local! {
    static NOW_MS: Cell<u64> = const { Cell::new(0) };
}

pub(crate) fn now_ms() -> u64 {
    NOW_MS.get()
}

pub(crate) fn set(now_ms: u64) {
    NOW_MS.set(now_ms);
}

pub(crate) fn advance(ms: u64) {
    NOW_MS.set(NOW_MS.get() + ms);
}
