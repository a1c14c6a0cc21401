//! When requests are due at a fixed rate. Knows nothing of connections, and reads no clock.
//!
//! A request has its due time whatever became of those before it, and its latency counts from there: a server that
//! stalls is charged for every request that should have been sent meanwhile (coordinated omission).

/// An endless list of due times.
pub(crate) struct Schedule {
    begun_ns: u64,
    interval_ns: f64,
    taken: u64,
}

impl Schedule {
    /// So many a second, the first one at `now_ns`.
    pub(crate) fn new(now_ns: u64, per_second: f64) -> Schedule {
        Schedule { begun_ns: now_ns, interval_ns: 1e9 / per_second, taken: 0 }
    }

    /// When the next one is due.
    pub(crate) fn next_ns(&self) -> u64 {
        // From the count and not by adding up, so that rounding does not drift.
        self.begun_ns + (self.taken as f64 * self.interval_ns) as u64
    }

    /// The due time of the next one, if that has come: each is given out once, with its number from 0.
    pub(crate) fn take(&mut self, now_ns: u64) -> Option<(u64, u64)> {
        let due = self.next_ns();
        if due > now_ns {
            return None;
        }
        let number = self.taken;
        self.taken += 1;
        Some((number, due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The heart of the correction: after a stall each missed request is still given out, with the time it was due at.
    #[test]
    fn missed_requests_keep_their_due_times() {
        let mut schedule = Schedule::new(1_000, 1e6);
        assert_eq!(schedule.take(1_000), Some((0, 1_000)));
        assert_eq!(schedule.take(1_999), None);
        assert_eq!(schedule.take(5_000), Some((1, 2_000)));
        assert_eq!(schedule.take(5_000), Some((2, 3_000)));
        assert_eq!(schedule.take(5_000), Some((3, 4_000)));
        assert_eq!(schedule.take(5_000), Some((4, 5_000)));
        assert_eq!(schedule.take(5_000), None);
        assert_eq!(schedule.next_ns(), 6_000);
    }
}
