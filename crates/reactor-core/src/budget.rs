//! Owns the memory of all connections together: how much it is, whether it is short, and whether workers have to wait
//! until output leaves. Knows nothing of who holds it, or who reads meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::config::AWAKE_MS;
use crate::heap_trim::HeapTrim;

/// Buffered input, requests in flight and unsent output of all connections of a server, in bytes.
#[derive(Debug)]
pub(crate) struct Budget {
    limit_bytes: usize,
    used_bytes: AtomicUsize,
    /// What of it is output that its peers have not taken.
    output_bytes: AtomicUsize,
    /// A worker waits since unsent output has taken the memory up.
    workers_wait: AtomicBool,
    /// When workers began to wait, or one was let go on last, in the server's milliseconds.
    let_go_ms: AtomicU64,
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
            output_bytes: AtomicUsize::new(0),
            workers_wait: AtomicBool::new(false),
            let_go_ms: AtomicU64::new(0),
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

    /// Of what somebody holds, `before` bytes were unsent output, and `after` are.
    pub(crate) fn change_output(&self, before: usize, after: usize) {
        self.output_bytes.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }

    /// Whether a worker had better begin nothing, for the next reply would only add to what nobody takes. What waits for
    /// workers holds less than that, so it is not they who keep the memory short.
    fn is_full_of_output(&self) -> bool {
        !self.is_within_margin() && self.output_bytes.load(Ordering::Relaxed) > self.limit_bytes / 2
    }

    /// As above, where a worker asks: it waits then, for a second at the most if there is a reserve.
    pub(crate) fn holds_worker(&self, now_ms: impl FnOnce() -> u64) -> bool {
        if !self.is_full_of_output() {
            return false;
        }
        let now_ms = now_ms();
        if !self.workers_wait.swap(true, Ordering::SeqCst) {
            self.let_go_ms.store(now_ms, Ordering::Relaxed);
            // It may have become less since.
            return self.is_full_of_output();
        }
        let before_ms = self.let_go_ms.load(Ordering::Relaxed);
        let lets_go = self.may_let_go(now_ms)
            && self.let_go_ms.compare_exchange(before_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        !lets_go
    }

    /// Whether one of the workers that wait may go on although output still takes the memory up.
    fn may_let_go(&self, now_ms: u64) -> bool {
        self.is_within_reserve() && now_ms >= self.let_go_ms.load(Ordering::Relaxed) + AWAKE_MS
    }

    /// Whether a worker that were woken would wait on.
    pub(crate) fn holds_all_workers(&self, now_ms: impl FnOnce() -> u64) -> bool {
        self.has_waiting_workers() && self.is_full_of_output() && !self.may_let_go(now_ms())
    }

    /// Whether workers wait.
    pub(crate) fn has_waiting_workers(&self) -> bool {
        self.workers_wait.load(Ordering::Relaxed)
    }

    /// Whether workers waited, and may go on: whoever asks is to tell them.
    pub(crate) fn may_workers_go_on(&self) -> bool {
        !self.is_full_of_output() && self.workers_wait.swap(false, Ordering::SeqCst)
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
