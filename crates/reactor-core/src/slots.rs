//! Owns what any thread may know of the connections of one loop: which are there, how much output each holds, who its
//! peer is. An id that is no longer valid finds nothing. Knows nothing of the connections themselves.

use std::net::SocketAddr;
use std::sync::{OnceLock, PoisonError};

use crate::conn_id::{ConnId, MAX_SLOTS};
use crate::sync::{Mutex, MutexGuard};

/// Slots of the first segment; each further one doubles the table.
const FIRST: usize = 64;
const SEGMENTS: usize = (MAX_SLOTS / FIRST).ilog2() as usize + 1;

/// What is known of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Unsent output, as its loop said last, in bytes.
    pub(crate) unsent_bytes: usize,
    /// Pushes that are on their way to its loop, in bytes.
    pub(crate) mailed_bytes: usize,
    pub(crate) peer: Option<SocketAddr>,
    generation: u32,
}

type Slot = Mutex<Known>;

/// A table that grows and never moves, so that nobody waits for its growth.
#[derive(Debug)]
pub(crate) struct Slots {
    segments: [OnceLock<Box<[Slot]>>; SEGMENTS],
}

impl Slots {
    pub(crate) fn new() -> Self {
        Slots { segments: [const { OnceLock::new() }; SEGMENTS] }
    }

    /// Segment 0 has the slots 0 to 63, segment n those from 64 * 2^(n-1) on.
    fn locate(slot: usize) -> (usize, usize) {
        let segment = (slot / FIRST + 1).next_power_of_two().ilog2() as usize;
        if segment == 0 { (0, slot) } else { (segment, slot - (FIRST << (segment - 1))) }
    }

    fn slot(&self, conn: ConnId) -> Option<MutexGuard<'_, Known>> {
        let (segment, position) = Slots::locate(conn.slot());
        let slot = self.segments.get(segment)?.get()?.get(position)?;
        // Nothing panics while it is held.
        Some(slot.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Enters a connection; its loop alone does so.
    pub(crate) fn enter(&self, conn: ConnId, peer: Option<SocketAddr>) {
        let (segment, position) = Slots::locate(conn.slot());
        let size = if segment == 0 { FIRST } else { FIRST << (segment - 1) };
        let slots = self.segments[segment].get_or_init(|| {
            let empty = || Mutex::new(Known { unsent_bytes: 0, mailed_bytes: 0, peer: None, generation: 0 });
            std::iter::repeat_with(empty).take(size).collect()
        });
        *slots[position].lock().unwrap_or_else(PoisonError::into_inner) =
            Known { unsent_bytes: 0, mailed_bytes: 0, peer, generation: conn.generation() };
    }

    /// Strikes a connection out; its loop alone does so.
    pub(crate) fn leave(&self, conn: ConnId) {
        if let Some(mut known) = self.slot(conn) {
            known.generation = 0;
        }
    }

    /// Looks at a connection, and changes what is known of it; `None` where it has ended.
    pub(crate) fn with<T>(&self, conn: ConnId, look: impl FnOnce(&mut Known) -> T) -> Option<T> {
        let mut known = self.slot(conn)?;
        // No connection has generation 0; a slot that is empty has it.
        (conn.generation() != 0 && known.generation == conn.generation()).then(|| look(&mut known))
    }

    pub(crate) fn is_open(&self, conn: ConnId) -> bool {
        self.with(conn, |_| ()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_has_one_place() {
        let mut expected = (0, 0);
        for slot in 0..100_000 {
            assert_eq!(Slots::locate(slot), expected);
            let size = if expected.0 == 0 { FIRST } else { FIRST << (expected.0 - 1) };
            expected = if expected.1 + 1 == size { (expected.0 + 1, 0) } else { (expected.0, expected.1 + 1) };
        }
        assert!(Slots::locate(MAX_SLOTS - 1).0 < SEGMENTS);
    }

    #[test]
    fn an_id_that_left_finds_nothing_also_when_its_slot_is_used_again() {
        let slots = Slots::new();
        let (first, second) = (ConnId::new(0, 70, 1), ConnId::new(0, 70, 2));
        assert!(!slots.is_open(first));
        slots.enter(first, None);
        assert!(slots.is_open(first) && !slots.is_open(second) && !slots.is_open(ConnId::NONE));
        slots.leave(first);
        slots.enter(second, None);
        assert!(!slots.is_open(first) && slots.is_open(second));
        assert!(!slots.is_open(ConnId::from_u64(u64::MAX)));
        slots.leave(second);
        assert!(!slots.is_open(ConnId::from_u64(70)), "an empty slot is no connection");
    }
}
