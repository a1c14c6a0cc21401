//! Owns who may read while the memory of all connections is short: one connection a reactor, the one whose partial frame
//! is the oldest first, and only until its frame is complete. So what is begun gets finished, and nothing deadlocks.

use crate::event_loop::EventLoop;
use crate::handler::Handler;

/// Connections of one loop that have something to read and wait for memory.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    slots: Vec<usize>,
    /// The one that may read, and how many requests it had begun when it was chosen.
    chosen: Option<(usize, u64)>,
}

impl<H: Handler> EventLoop<H> {
    /// Whether the connection may read: memory is not short, or it is the chosen one. Else it waits.
    pub(crate) fn may_read(&mut self, slot: usize) -> bool {
        if !self.shared.budget.is_short() {
            return true;
        }
        let Some(entry) = self.table.get(slot) else { return false };
        if entry.conn.is_lingering() {
            return true;
        }
        if let Some((chosen, begun)) = self.waiting.chosen
            && chosen == slot
            && entry.conn.next_request() == begun
        {
            return true;
        }
        if !std::mem::replace(&mut entry.waits_for_memory, true) {
            self.waiting.slots.push(slot);
        }
        false
    }

    /// Whether [`share_memory`](EventLoop::share_memory) would find something to do.
    pub(crate) fn wants_memory_shared(&self) -> bool {
        !self.waiting.slots.is_empty() && !self.shared.budget.is_short()
    }

    /// Lets those go on that waited, if there is memory again, else the next one.
    pub(crate) fn share_memory(&mut self) {
        if self.waiting.slots.is_empty() {
            self.waiting.chosen = None;
            return;
        }
        if !self.shared.budget.is_short() {
            self.waiting.chosen = None;
            for slot in std::mem::take(&mut self.waiting.slots) {
                self.go_on_reading(slot);
            }
            return;
        }
        if let Some((chosen, begun)) = self.waiting.chosen
            && let Some(entry) = self.table.get(chosen)
            && entry.socket.is_some()
            && entry.readable
            && entry.conn.next_request() == begun
            && entry.conn.wants_read(&self.shared.rules)
        {
            return;
        }
        self.choose();
    }

    /// The oldest partial frame first, then whoever has waited longest.
    fn choose(&mut self) {
        self.waiting.chosen = None;
        let mut best: Option<(u64, usize)> = None;
        let mut slots = std::mem::take(&mut self.waiting.slots);
        slots
            .retain(|slot| self.table.get(*slot).is_some_and(|entry| entry.waits_for_memory && entry.socket.is_some()));
        for (position, slot) in slots.iter().enumerate() {
            let Some(entry) = self.table.get(*slot) else { continue };
            if entry.conn.wants_read(&self.shared.rules) {
                let since_ms = entry.conn.partial_since_ms().unwrap_or(u64::MAX);
                if best.is_none_or(|(best_ms, _)| since_ms < best_ms) {
                    best = Some((since_ms, position));
                }
            }
        }
        if let Some((_, position)) = best {
            // The order of those that wait is kept.
            let slot = slots.remove(position);
            if let Some(entry) = self.table.get(slot) {
                self.waiting.chosen = Some((slot, entry.conn.next_request()));
            }
            self.go_on_reading(slot);
        }
        self.waiting.slots = slots;
    }

    fn go_on_reading(&mut self, slot: usize) {
        if let Some(entry) = self.table.get(slot) {
            entry.waits_for_memory = false;
            self.queue(slot);
        }
    }
}
