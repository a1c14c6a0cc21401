//! Owns the connection table of one loop: slots, generations, which entries may be used again, and how little a
//! connection takes that is at rest. Knows nothing of what is done with a connection.

use std::sync::Arc;
use std::time::Instant;

use slab::Slab;
use socket2::Socket;

use crate::conn_id::{ConnId, MAX_SLOTS};
use crate::connection::{AtRest, Connection, Rules};
use crate::push::Push;
use crate::run::Run;
use crate::timers::UNARMED;

/// One connection as its loop sees it.
#[derive(Debug)]
pub(crate) struct Entry<D> {
    pub(crate) conn: Connection,
    /// `None` once it is closed; the entry stays while a worker is in one of its requests.
    pub(crate) socket: Option<Socket>,
    pub(crate) id: ConnId,
    pub(crate) data: D,
    /// With workers: the requests that were handed over.
    pub(crate) run: Option<Arc<Run<D>>>,
    /// The time of its entry in the timers.
    pub(crate) armed_ms: u64,
    /// When to see whether it has come to rest.
    pub(crate) checked_ms: u64,
    /// There may be something to read.
    pub(crate) readable: bool,
    /// The peer's side is closed or in error, or there were out-of-band bytes: reading goes on until nothing is there.
    pub(crate) hung_up: bool,
    /// The socket took less than it was given: a writable event will come.
    pub(crate) write_blocked: bool,
    /// It stands in the loop's queue.
    pub(crate) queued: bool,
    /// It has something to read, and memory is short.
    pub(crate) waits_for_memory: bool,
    /// Something was heard of it since it was looked at last, while it waits for memory.
    pub(crate) fresh: bool,
    /// Memory that it holds, that of its output, and unsent output, as others were told last, in bytes.
    pub(crate) told_memory_bytes: usize,
    pub(crate) told_output_bytes: usize,
    pub(crate) told_unsent_bytes: usize,
    /// A worker would have begun a request and output stood at the high mark.
    pub(crate) run_stalled: bool,
    /// It gave way to others: when the loop woke up for what waits.
    pub(crate) waits_since: Option<Instant>,
}

impl<D> Entry<D> {
    pub(crate) fn new(conn: Connection, socket: Socket, id: ConnId, data: D) -> Self {
        Entry {
            conn,
            socket: Some(socket),
            id,
            data,
            run: None,
            armed_ms: UNARMED,
            checked_ms: UNARMED,
            readable: false,
            hung_up: false,
            write_blocked: false,
            queued: false,
            waits_for_memory: false,
            fresh: false,
            told_memory_bytes: 0,
            told_output_bytes: 0,
            told_unsent_bytes: 0,
            run_stalled: false,
            waits_since: None,
        }
    }

    /// What is left of it at rest; `None` while it does anything.
    pub(crate) fn at_rest(&self) -> Option<AtRest> {
        let busy = self.run.is_some()
            || self.readable
            || self.hung_up
            || self.write_blocked
            || self.queued
            || self.waits_for_memory
            || self.socket.is_none()
            || self.told_memory_bytes + self.told_unsent_bytes > 0;
        if busy { None } else { self.conn.at_rest() }
    }
}

impl<D: Clone> Entry<D> {
    /// Bytes that no request asked for.
    pub(crate) fn push(&mut self, rules: &Rules, now_ms: u64, push: &Arc<Push>) {
        self.conn.push(rules, now_ms, push);
        if let Some(run) = &self.run {
            run.add_due(push.len());
        }
    }
}

/// A slot of the table.
#[derive(Debug)]
enum Place<D> {
    /// Given back in this turn, or never to be used again.
    Empty,
    /// Most connections of a large server, most of the time: nothing but this.
    Resting {
        socket: Socket,
        data: D,
        at_rest: AtRest,
        armed_ms: u64,
    },
    Awake(Box<Entry<D>>),
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Table<D> {
    reactor: usize,
    places: Slab<Place<D>>,
    generations: Vec<u32>,
    /// Given back in this turn: an event of the former connection may yet come in it.
    freed: Vec<usize>,
    open: usize,
}

impl<D> Table<D> {
    pub(crate) fn new(reactor: usize) -> Self {
        Table { reactor, places: Slab::new(), generations: Vec::new(), freed: Vec::new(), open: 0 }
    }

    /// Entries in use.
    pub(crate) fn len(&self) -> usize {
        self.open
    }

    /// Takes a slot and names its next connection; `None` where all are taken. [`fill`](Table::fill) or
    /// [`free`](Table::free) comes next.
    pub(crate) fn reserve(&mut self) -> Option<ConnId> {
        if self.places.len() >= MAX_SLOTS {
            return None;
        }
        let slot = self.places.insert(Place::Empty);
        if self.generations.len() <= slot {
            self.generations.resize(slot + 1, 0);
        }
        self.generations[slot] += 1;
        self.open += 1;
        Some(self.id(slot))
    }

    fn id(&self, slot: usize) -> ConnId {
        ConnId::new(self.reactor, slot, self.generations[slot])
    }

    /// Enters a connection, at rest if it is.
    pub(crate) fn fill(&mut self, entry: Entry<D>) {
        let slot = entry.id.slot();
        self.places[slot] = Place::Awake(Box::new(entry));
        self.rest(slot);
    }

    /// The connection in this slot, awake.
    pub(crate) fn get(&mut self, slot: usize) -> Option<&mut Entry<D>> {
        if let Some(Place::Resting { .. }) = self.places.get(slot) {
            self.wake(slot);
        }
        match self.places.get_mut(slot) {
            Some(Place::Awake(entry)) => Some(entry),
            Some(Place::Empty | Place::Resting { .. }) | None => None,
        }
    }

    #[cold]
    fn wake(&mut self, slot: usize) {
        let id = self.id(slot);
        let place = &mut self.places[slot];
        if let Place::Resting { socket, data, at_rest, armed_ms } = std::mem::replace(place, Place::Empty) {
            let mut entry = Box::new(Entry::new(Connection::awake(at_rest), socket, id, data));
            entry.armed_ms = armed_ms;
            *place = Place::Awake(entry);
        }
    }

    /// Lets a connection that does nothing take next to no memory until it is asked for again.
    pub(crate) fn rest(&mut self, slot: usize) {
        let Some(place) = self.places.get_mut(slot) else { return };
        let Place::Awake(entry) = &*place else { return };
        let Some(at_rest) = entry.at_rest() else { return };
        if let Place::Awake(entry) = std::mem::replace(place, Place::Empty) {
            let Entry { socket, data, armed_ms, .. } = *entry;
            if let Some(socket) = socket {
                *place = Place::Resting { socket, data, at_rest, armed_ms };
            }
        }
    }

    /// Whether the connection in this slot rests.
    pub(crate) fn is_resting(&self, slot: usize) -> bool {
        matches!(self.places.get(slot), Some(Place::Resting { .. }))
    }

    /// The time of the connection's entry in the timers.
    pub(crate) fn armed_ms(&self, slot: usize) -> Option<u64> {
        match self.places.get(slot)? {
            Place::Empty => None,
            Place::Resting { armed_ms, .. } => Some(*armed_ms),
            Place::Awake(entry) => Some(entry.armed_ms),
        }
    }

    /// The connection of this id, unless it has ended.
    pub(crate) fn find(&mut self, id: ConnId) -> Option<&mut Entry<D>> {
        let slot = id.slot();
        if self.generations.get(slot) != Some(&id.generation()) {
            return None;
        }
        self.get(slot)
    }

    /// Gives a slot back; it is used again from the next turn on.
    pub(crate) fn free(&mut self, slot: usize) -> Option<Entry<D>> {
        self.freed.push(slot);
        self.open -= 1;
        match std::mem::replace(self.places.get_mut(slot)?, Place::Empty) {
            Place::Awake(entry) => Some(*entry),
            Place::Empty | Place::Resting { .. } => None,
        }
    }

    /// The turn is over: what was given back may be used again.
    pub(crate) fn recycle(&mut self) {
        for slot in self.freed.drain(..) {
            // Once its generations are used up a slot is retired, so that no id is ever given twice.
            if self.generations[slot] < u32::MAX {
                self.places.remove(slot);
            }
        }
    }

    /// The slots in use.
    pub(crate) fn slots(&self) -> Vec<usize> {
        let used = self.places.iter().filter(|(_, place)| !matches!(place, Place::Empty));
        used.map(|(slot, _)| slot).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A promise of the README: a connection at rest costs a few words. Beside this stand its line in `Slots` and its
    /// generation.
    #[test]
    fn a_connection_at_rest_takes_little() {
        assert!(size_of::<Place<usize>>() <= 56, "{} bytes", size_of::<Place<usize>>());
    }
}
