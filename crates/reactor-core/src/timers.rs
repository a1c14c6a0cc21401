//! Owns when to look at which connection again. One entry a connection at the most; a deadline that moves on costs
//! nothing until the old one comes. Knows nothing of what a deadline means.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Deadlines of the connections of one loop, in its milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(u64, usize)>>,
}

/// Fewer entries than this are not worth a look.
const COMPACTED_FROM: usize = 1024;

/// The entry of a connection that has none.
pub(crate) const UNARMED: u64 = u64::MAX;

impl Timers {
    /// The connection in `slot` wants to be looked at by `deadline_ms`. `armed_ms` is where the connection keeps the
    /// time of its earliest entry.
    pub(crate) fn arm(&mut self, slot: usize, deadline_ms: u64, armed_ms: &mut u64) {
        if deadline_ms < *armed_ms {
            *armed_ms = deadline_ms;
            self.heap.push(Reverse((deadline_ms, slot)));
        }
    }

    /// Drops entries of connections that have ended, once they are many; `is_armed` says of a slot and a time whether its
    /// connection still goes by it.
    pub(crate) fn compact(&mut self, open: usize, mut is_armed: impl FnMut(usize, u64) -> bool) {
        if self.heap.len() > 4 * open + COMPACTED_FROM {
            self.heap.retain(|Reverse((deadline_ms, slot))| is_armed(*slot, *deadline_ms));
        }
    }

    /// The time of the first entry.
    pub(crate) fn first_ms(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((deadline_ms, _))| *deadline_ms)
    }

    /// An entry that is due: its slot, and its time, by which the connection tells whether it is still its own.
    pub(crate) fn pop(&mut self, now_ms: u64) -> Option<(usize, u64)> {
        let Reverse((deadline_ms, slot)) = *self.heap.peek()?;
        if deadline_ms > now_ms {
            return None;
        }
        self.heap.pop();
        Some((slot, deadline_ms))
    }
}
