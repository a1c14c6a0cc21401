//! Owns the connection table of one loop: slots, generations, and which entries may be used again. Knows nothing of
//! what is done with a connection.

use std::sync::Arc;

use slab::Slab;
use socket2::Socket;

use crate::conn_id::{ConnId, MAX_SLOTS};
use crate::connection::{Connection, Rules};
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
    /// When to see whether the run can be given back.
    pub(crate) run_checked_ms: u64,
    /// There may be something to read.
    pub(crate) readable: bool,
    /// The peer's side is closed or in error: reading goes on until that shows.
    pub(crate) hung_up: bool,
    /// The socket took less than it was given: a writable event will come.
    pub(crate) write_blocked: bool,
    /// It stands in the loop's queue.
    pub(crate) queued: bool,
    /// It has something to read, and memory is short.
    pub(crate) waits_for_memory: bool,
    /// Memory that it holds, and unsent output, as others were told last, in bytes.
    pub(crate) told_memory_bytes: usize,
    pub(crate) told_unsent_bytes: usize,
    /// A worker would have begun a request and output stood at the high mark.
    pub(crate) run_stalled: bool,
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
            run_checked_ms: UNARMED,
            readable: false,
            hung_up: false,
            write_blocked: false,
            queued: false,
            run_stalled: false,
            waits_for_memory: false,
            told_memory_bytes: 0,
            told_unsent_bytes: 0,
        }
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

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Table<D> {
    reactor: usize,
    /// `None`: given back in this turn, or never to be used again.
    entries: Slab<Option<Entry<D>>>,
    generations: Vec<u32>,
    /// Given back in this turn: an event of the former connection may yet come in it.
    freed: Vec<usize>,
    open: usize,
}

impl<D> Table<D> {
    pub(crate) fn new(reactor: usize) -> Self {
        Table { reactor, entries: Slab::new(), generations: Vec::new(), freed: Vec::new(), open: 0 }
    }

    /// Entries in use.
    pub(crate) fn len(&self) -> usize {
        self.open
    }

    /// Takes a slot and names its next connection; `None` where all are taken. [`fill`](Table::fill) or
    /// [`free`](Table::free) comes next.
    pub(crate) fn reserve(&mut self) -> Option<ConnId> {
        if self.entries.len() >= MAX_SLOTS {
            return None;
        }
        let slot = self.entries.insert(None);
        if self.generations.len() <= slot {
            self.generations.resize(slot + 1, 0);
        }
        self.generations[slot] += 1;
        self.open += 1;
        Some(ConnId::new(self.reactor, slot, self.generations[slot]))
    }

    pub(crate) fn fill(&mut self, entry: Entry<D>) {
        let slot = entry.id.slot();
        self.entries[slot] = Some(entry);
    }

    pub(crate) fn get(&mut self, slot: usize) -> Option<&mut Entry<D>> {
        self.entries.get_mut(slot)?.as_mut()
    }

    /// The connection of this id, unless it has ended.
    pub(crate) fn find(&mut self, id: ConnId) -> Option<&mut Entry<D>> {
        self.get(id.slot()).filter(|entry| entry.id == id)
    }

    /// Gives a slot back; it is used again from the next turn on.
    pub(crate) fn free(&mut self, slot: usize) -> Option<Entry<D>> {
        self.freed.push(slot);
        self.open -= 1;
        self.entries.get_mut(slot)?.take()
    }

    /// The turn is over: what was given back may be used again.
    pub(crate) fn recycle(&mut self) {
        for slot in self.freed.drain(..) {
            // Once its generations are used up a slot is retired, so that no id is ever given twice.
            if self.generations[slot] < u32::MAX {
                self.entries.remove(slot);
            }
        }
    }

    /// The slots in use.
    pub(crate) fn slots(&self) -> Vec<usize> {
        self.entries.iter().filter(|(_, entry)| entry.is_some()).map(|(slot, _)| slot).collect()
    }
}
