//! Owns the numbers that decide whatever is open in a simulated run: the same seed gives the same run. Knows nothing of
//! what they decide.

use std::cell::Cell;

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(0) };
    /// Nothing rare happens.
    static CALM: Cell<bool> = const { Cell::new(false) };
}

/// The numbers from here on follow from `seed`. With `calm` each of them is 0, which gets things done.
pub(crate) fn throw(seed: u64, calm: bool) {
    STATE.set(seed);
    CALM.set(calm);
}

/// The next of 2^64 numbers, all as likely (SplitMix64, Steele, Lea and Flood 2014).
pub(crate) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// A number below `count`.
pub(crate) fn pick(count: usize) -> usize {
    if CALM.get() {
        return 0;
    }
    let mut state = STATE.get();
    let number = next(&mut state);
    STATE.set(state);
    (number % count.max(1) as u64) as usize
}

/// One time in `count`.
pub(crate) fn rarely(count: usize) -> bool {
    !CALM.get() && pick(count) == count - 1
}

/// A source of its own, for what is decided before the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source(pub(crate) u64);

impl Source {
    /// Any number.
    pub(crate) fn number(&mut self) -> u64 {
        next(&mut self.0)
    }

    /// A number below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.number() % count as u64) as usize
    }

    /// A number in a range that has one.
    pub(crate) fn within(&mut self, range: std::ops::Range<usize>) -> usize {
        range.start + self.below(range.end - range.start)
    }

    /// One time in `count`.
    pub(crate) fn once_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}
