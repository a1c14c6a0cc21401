//! Owns the name of a connection: a `u64` made of reactor, slot and generation. Knows nothing of what it names.

use std::fmt;

const SLOT_BITS: u32 = 22;
const REACTOR_BITS: u32 = 10;

/// The most connections that one reactor can name at a time.
pub(crate) const MAX_SLOTS: usize = 1 << SLOT_BITS;
/// The most reactors that ids can tell apart.
pub(crate) const MAX_REACTORS: usize = 1 << REACTOR_BITS;

/// Names one connection, for ever: an id is never given to a second connection of the same server, so a late one is
/// always safe to use and simply names nothing any more.
///
/// 0 names no connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ConnId(u64);

impl ConnId {
    /// Names no connection.
    pub const NONE: ConnId = ConnId(0);

    /// The id that `as_u64` gave. Any number is safe; one that no connection has names nothing.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        ConnId(number)
    }

    /// The number to pass through other languages.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// `generation` starts at 1, so that no id is 0.
    pub(crate) fn new(reactor: usize, slot: usize, generation: u32) -> Self {
        debug_assert!(reactor < MAX_REACTORS && slot < MAX_SLOTS && generation > 0);
        ConnId(u64::from(generation) << 32 | (reactor as u64) << SLOT_BITS | slot as u64)
    }

    pub(crate) fn reactor(self) -> usize {
        (self.0 >> SLOT_BITS) as usize & (MAX_REACTORS - 1)
    }

    pub(crate) fn slot(self) -> usize {
        self.0 as usize & (MAX_SLOTS - 1)
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// `reactor.slot.generation`, as the log shows it.
impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.reactor(), self.slot(), self.generation())
    }
}

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_gives_back_its_three_parts() {
        for (reactor, slot, generation) in [(0, 0, 1), (MAX_REACTORS - 1, MAX_SLOTS - 1, u32::MAX), (3, 70_000, 9)] {
            let id = ConnId::new(reactor, slot, generation);
            assert_eq!((id.reactor(), id.slot(), id.generation()), (reactor, slot, generation));
            assert_eq!(ConnId::from_u64(id.as_u64()), id);
            assert_ne!(id, ConnId::NONE);
        }
    }
}
