//! Owns the memory of all connections together: how much it is, and whether it is short. Knows nothing of who holds it
//! or who waits for it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::heap_trim::HeapTrim;

/// Buffered input, requests in flight and unsent output of all connections of a server, in bytes.
#[derive(Debug)]
pub(crate) struct Budget {
    limit_bytes: usize,
    used_bytes: AtomicUsize,
    /// From the limit down to 7/8 of it.
    short: AtomicBool,
    trim: HeapTrim,
}

/// What a change meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing for anyone else.
    None,
    /// Memory is no longer short: whoever waits may go on.
    Eased,
}

impl Budget {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Budget {
            limit_bytes,
            used_bytes: AtomicUsize::new(0),
            short: AtomicBool::new(false),
            trim: HeapTrim::new(limit_bytes),
        }
    }

    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Whether reading and pushing have to wait.
    pub(crate) fn is_short(&self) -> bool {
        self.short.load(Ordering::SeqCst)
    }

    /// Whether a little above the limit still holds all: what was let in beyond the limit has room there.
    pub(crate) fn is_within_margin(&self) -> bool {
        self.used_bytes() <= self.limit_bytes.saturating_add(self.limit_bytes / 64)
    }

    /// Whether a quarter above the limit still holds all: who waits for what is never answered is let in up to there.
    pub(crate) fn is_within_reserve(&self) -> bool {
        self.used_bytes() <= self.limit_bytes.saturating_add(self.limit_bytes / 4)
    }

    /// Whether so many bytes more stay within the limit.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        !self.is_short() && self.used_bytes().saturating_add(bytes) <= self.limit_bytes
    }

    /// Whether whoever asks is to trim the heap; then it is to be told with [`trimmed`](Budget::trimmed).
    pub(crate) fn is_trim_due(&self, now_ms: u64) -> bool {
        self.trim.is_due(self.used_bytes(), now_ms)
    }

    pub(crate) fn trimmed(&self, now_ms: u64, took: Duration) {
        self.trim.trimmed(now_ms, took);
    }

    /// Somebody who held `before` bytes holds `after` now.
    pub(crate) fn change(&self, before: usize, after: usize) -> Change {
        if after > before {
            let used = self.used_bytes.fetch_add(after - before, Ordering::SeqCst) + (after - before);
            self.trim.rose(used);
            if used >= self.limit_bytes && !self.is_short() {
                self.short.store(true, Ordering::SeqCst);
                // Another may have given back meanwhile, when nothing was short yet.
                return self.ease(self.used_bytes.load(Ordering::SeqCst));
            }
        } else if after < before {
            let used = self.used_bytes.fetch_sub(before - after, Ordering::SeqCst) - (before - after);
            self.trim.fell(before - after);
            return self.ease(used);
        }
        Change::None
    }

    fn ease(&self, used_bytes: usize) -> Change {
        if used_bytes <= self.limit_bytes / 8 * 7 && self.is_short() && self.short.swap(false, Ordering::SeqCst) {
            Change::Eased
        } else {
            Change::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_short_from_the_limit_down_to_seven_eighths_of_it() {
        let budget = Budget::new(800);
        assert_eq!(budget.change(0, 799), Change::None);
        assert!(!budget.is_short() && budget.has_room(1) && !budget.has_room(2));
        assert_eq!(budget.change(0, 1), Change::None);
        assert!(budget.is_short() && !budget.has_room(0));
        assert_eq!(budget.change(799, 700), Change::None);
        assert!(budget.is_short(), "701 bytes are above 7/8");
        assert_eq!(budget.change(1, 0), Change::Eased);
        assert!(!budget.is_short() && budget.used_bytes() == 700);
    }
}
