//! Owns when the allocator is asked to give back what is free: an allocator keeps the pages between buffers of many
//! sizes, and while connections come and go near the limit those may become as much as all that is in use. Knows nothing
//! of how it is asked.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::config::{HEAP_TRIM_BYTES, HEAP_TRIM_PAUSE};

/// Less than half of the limit has been used since the memory was last given back.
const CALM: u8 = 0;
/// More than half of the limit has been used, and more than a quarter ever since.
const FULL: u8 = 1;
/// It was full, and is used up to a quarter: what is left of the free memory goes once next to none is used.
const EBBING: u8 = 2;

/// When to give memory back, by what the connections of a server use, in bytes.
#[derive(Debug)]
pub(crate) struct HeapTrim {
    limit_bytes: usize,
    stage: AtomicU8,
    /// What connections let go since the heap was trimmed last.
    freed_bytes: AtomicUsize,
    /// When the heap was trimmed last, and how long that took, in milliseconds.
    trimmed_ms: AtomicU64,
    took_ms: AtomicU64,
}

impl HeapTrim {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        HeapTrim {
            limit_bytes,
            stage: AtomicU8::new(CALM),
            freed_bytes: AtomicUsize::new(0),
            trimmed_ms: AtomicU64::new(0),
            took_ms: AtomicU64::new(0),
        }
    }

    /// So much is used, more than before.
    pub(crate) fn rose(&self, used_bytes: usize) {
        if used_bytes >= self.limit_bytes / 2 && self.stage.load(Ordering::Relaxed) != FULL {
            self.stage.store(FULL, Ordering::Relaxed);
        }
    }

    /// So much was let go.
    pub(crate) fn fell(&self, freed_bytes: usize) {
        if self.stage.load(Ordering::Relaxed) == FULL {
            self.freed_bytes.fetch_add(freed_bytes, Ordering::Relaxed);
        }
    }

    /// Whether whoever asks is to trim the heap now: one does, of all that ask at once.
    #[inline]
    pub(crate) fn is_due(&self, used_bytes: usize, now_ms: u64) -> bool {
        self.stage.load(Ordering::Relaxed) != CALM && self.is_due_now(used_bytes, now_ms)
    }

    #[cold]
    fn is_due_now(&self, used_bytes: usize, now_ms: u64) -> bool {
        match self.stage.load(Ordering::Relaxed) {
            stage @ (FULL | EBBING) if used_bytes <= self.limit_bytes / 64 => self.ebb(stage, CALM),
            FULL if used_bytes <= self.limit_bytes / 4 => self.ebb(FULL, EBBING),
            FULL => {
                let freed_bytes = self.freed_bytes.load(Ordering::Relaxed);
                let least_bytes = (self.limit_bytes / 8).max(HEAP_TRIM_BYTES);
                freed_bytes >= least_bytes
                    && self.has_rested(now_ms, freed_bytes >= 2 * least_bytes)
                    && exchange(&self.freed_bytes, freed_bytes)
            }
            _ => false,
        }
    }

    fn has_rested(&self, now_ms: u64, urgent: bool) -> bool {
        let pause = if urgent { 1 } else { HEAP_TRIM_PAUSE };
        now_ms >= self.trimmed_ms.load(Ordering::Relaxed) + pause * self.took_ms.load(Ordering::Relaxed)
    }

    fn ebb(&self, from: u8, to: u8) -> bool {
        self.freed_bytes.store(0, Ordering::Relaxed);
        self.stage.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// It was trimmed, which took so long: the next trim waits for a multiple of that, or for as long where it is urgent.
    pub(crate) fn trimmed(&self, now_ms: u64, took: Duration) {
        self.took_ms.store(took.as_millis() as u64, Ordering::Relaxed);
        self.trimmed_ms.store(now_ms, Ordering::Relaxed);
    }
}

/// Makes `counter` 0 where nobody has changed it.
fn exchange(counter: &AtomicUsize, seen: usize) -> bool {
    counter.compare_exchange(seen, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 16 * HEAP_TRIM_BYTES;

    /// A server that never uses half of its memory never pays for a trim.
    #[test]
    fn below_half_of_the_limit_nothing_is_trimmed() {
        let trim = HeapTrim::new(LIMIT);
        trim.rose(LIMIT / 2 - 1);
        trim.fell(10 * LIMIT);
        assert!(!trim.is_due(LIMIT / 2 - 1, 0) && !trim.is_due(0, 0));
    }

    #[test]
    fn near_the_limit_each_eighth_of_it_that_was_let_go_is_trimmed_once() {
        let trim = HeapTrim::new(LIMIT);
        trim.rose(LIMIT / 2);
        trim.fell(LIMIT / 8 - 1);
        assert!(!trim.is_due(LIMIT / 2, 0));
        trim.fell(1);
        assert!(trim.is_due(LIMIT / 2, 0) && !trim.is_due(LIMIT / 2, 0));
    }

    /// A heap with much in it takes long to trim: requests go on for most of the time.
    #[test]
    fn a_trim_is_followed_by_a_rest_of_a_multiple_of_its_time() {
        let trim = HeapTrim::new(LIMIT);
        trim.rose(LIMIT);
        trim.fell(LIMIT);
        assert!(trim.is_due(LIMIT, 0));
        trim.trimmed(100, Duration::from_millis(7));
        trim.fell(LIMIT / 4 - 1);
        let until_ms = 100 + 7 * HEAP_TRIM_PAUSE;
        assert!(!trim.is_due(LIMIT, until_ms - 1));
        trim.fell(1);
        assert!(!trim.is_due(LIMIT, 106) && trim.is_due(LIMIT, 107), "a quarter of the limit is urgent");
        trim.fell(LIMIT / 8);
        assert!(!trim.is_due(LIMIT, until_ms - 1) && trim.is_due(LIMIT, until_ms));
    }

    #[test]
    fn what_is_free_after_a_flood_is_given_back_on_its_way_down_and_at_its_end() {
        let trim = HeapTrim::new(LIMIT);
        trim.rose(LIMIT);
        let due: Vec<_> =
            [LIMIT / 4 + 1, LIMIT / 4, LIMIT / 64 + 1, LIMIT / 64, 0].map(|used| trim.is_due(used, 0)).into();
        assert_eq!(due, [false, true, false, true, false]);
        trim.rose(LIMIT / 2 - 1);
        assert!(!trim.is_due(0, 0), "it is calm");
        trim.rose(LIMIT / 2);
        assert!(trim.is_due(0, 0) && !trim.is_due(0, 0), "all went at once");
    }
}
