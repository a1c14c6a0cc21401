//! Owns who may read while the memory of all connections is short. One connection a reactor may, the one whose partial
//! frame is the oldest first, and only until its frame is complete: so what is begun gets finished, and nothing deadlocks.
//! While its peer stalls, others have their turn whose whole frame lies ready in the system's buffer, since to take that
//! leaves no partial frame behind. What a request was answered must have left before the next is let in, but for a
//! margin: else memory would grow by a frame, or a reply, each time.

use std::collections::VecDeque;
use std::mem;
use std::os::fd::AsRawFd;
use std::time::Instant;

use nix::sys::socket::{MsgFlags, recv};

use crate::config::{AWAKE_MS, RATIONED_BYTES, READ_BUFFER_BYTES};
use crate::conn_id::ConnId;
use crate::event_loop::EventLoop;
use crate::handler::Handler;

/// Connections of one loop that have something to read and wait for memory.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    slots: Vec<usize>,
    /// Those of them of which something was heard since they were looked at last.
    fresh: VecDeque<usize>,
    /// The one that may read, and how many requests it had begun when it was chosen.
    chosen: Option<(ConnId, u64)>,
    /// One that may read so many bytes now, for its whole frame is there.
    passed: Option<(ConnId, usize)>,
    /// The last that was chosen, and the last that had its turn while a chosen one stalled.
    last: [Option<(ConnId, u64)>; 2],
}

impl<H: Handler> EventLoop<H> {
    /// How much the connection may read: anything where memory is not short, a frame where it is its turn. Else it
    /// waits.
    pub(crate) fn may_read(&mut self, slot: usize) -> Option<usize> {
        if !self.shared.budget.is_short() {
            return Some(usize::MAX);
        }
        let entry = self.table.get(slot)?;
        if entry.conn.is_lingering() {
            return Some(usize::MAX);
        }
        if let Some((_, bytes)) = self.waiting.passed.take_if(|(passed, _)| *passed == entry.id) {
            return Some(bytes);
        }
        if let Some((chosen, begun)) = self.waiting.chosen
            && chosen == entry.id
            && entry.conn.next_request() == begun
        {
            return Some(entry.conn.rationed_bytes());
        }
        if !mem::replace(&mut entry.waits_for_memory, true) {
            self.waiting.slots.push(slot);
        }
        if !mem::replace(&mut entry.fresh, true) {
            self.waiting.fresh.push_back(slot);
        }
        None
    }

    /// Whether connections wait for memory, and there is some.
    pub(crate) fn wants_memory_shared(&self) -> bool {
        !self.waiting.slots.is_empty() && !self.shared.budget.is_short()
    }

    /// Lets those go on that waited, if there is memory again, else the next one.
    pub(crate) fn share_memory(&mut self) {
        if self.waiting.slots.is_empty() && self.waiting.chosen.is_none() && self.waiting.last == [None; 2] {
            return;
        }
        if !self.shared.budget.is_short() {
            for slot in mem::take(&mut self.waiting).slots {
                self.go_on_reading(slot);
            }
            return;
        }
        let Some(stalls) = self.chosen_stalls() else {
            if let Some((done, _)) = self.waiting.chosen.take() {
                self.waiting.last[0] = Some((done, self.now_ms));
            }
            if self.next_may_come() {
                self.choose();
            }
            return;
        };
        while stalls
            && self.next_may_come()
            && let Some(slot) = self.waiting.fresh.pop_front()
        {
            self.table.get(slot).into_iter().for_each(|entry| entry.fresh = false);
            if let Some(bytes) = self.whole_frame_is_there(slot) {
                self.pass(slot, bytes);
            }
        }
    }

    /// Has the allocator give back what is free, where that is due.
    pub(crate) fn trim_heap(&self) {
        let budget = &self.shared.budget;
        if budget.is_trim_due(self.now_ms)
            && let Some(trim) = self.shared.rules.config.heap_trim
        {
            let began = Instant::now();
            trim();
            let took = began.elapsed();
            budget.trimmed(self.now_ms, took);
            log::debug!("trimming the heap with {} bytes in use took {} us", budget.used_bytes(), took.as_micros());
        }
    }

    /// Whether what the last ones asked has been answered and has left, or is within the margin.
    fn next_may_come(&mut self) -> bool {
        let mut last = self.waiting.last.into_iter().flatten();
        let budget = &self.shared.budget;
        // One that is answered late, or never, keeps the others waiting for so long and no longer, while there is a
        // reserve for it.
        let has_reserve = budget.is_within_reserve();
        let is_late = |since_ms| has_reserve && self.now_ms >= since_ms + AWAKE_MS;
        budget.is_within_margin()
            || last.all(|(last, since_ms)| {
                self.table.find(last).is_none_or(|entry| {
                    let conn = &entry.conn;
                    entry.socket.is_none() || conn.is_served() || (conn.unsent_bytes() == 0 && is_late(since_ms))
                })
            })
    }

    /// Whether the chosen connection has nothing to read; `None` where there is none any more that waits for its frame.
    fn chosen_stalls(&mut self) -> Option<bool> {
        let (chosen, begun) = self.waiting.chosen?;
        let entry = self.table.find(chosen).filter(|entry| entry.socket.is_some())?;
        let reads_on = entry.conn.next_request() == begun && entry.conn.wants_read(&self.shared.rules);
        reads_on.then_some(!entry.readable)
    }

    /// The oldest partial frame first, then whoever has waited longest.
    fn choose(&mut self) {
        let mut best: Option<(u64, usize)> = None;
        let mut slots = mem::take(&mut self.waiting.slots);
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
                self.waiting.chosen = Some((entry.id, entry.conn.next_request()));
            }
            self.go_on_reading(slot);
        }
        // Should the chosen one stall, each of the others is looked at.
        for slot in &slots {
            self.table.get(*slot).into_iter().for_each(|entry| entry.fresh = true);
        }
        self.waiting.fresh.clear();
        self.waiting.fresh.extend(&slots);
        self.waiting.slots = slots;
    }

    fn go_on_reading(&mut self, slot: usize) {
        if let Some(entry) = self.table.get(slot) {
            entry.waits_for_memory = false;
            entry.fresh = false;
            self.queue(slot);
        }
    }

    /// Looks, without taking it, at what the connection could read: how many bytes complete its frame.
    fn whole_frame_is_there(&mut self, slot: usize) -> Option<usize> {
        let entry = self.table.get(slot).filter(|entry| entry.waits_for_memory)?;
        let socket = entry.socket.as_ref()?;
        if !entry.conn.wants_read(&self.shared.rules) {
            return None;
        }
        self.peek_buffer.resize(READ_BUFFER_BYTES, 0);
        // An end or an error leaves nothing behind either.
        let Ok(len @ 1..) = recv(socket.as_raw_fd(), &mut self.peek_buffer, MsgFlags::MSG_PEEK) else {
            return Some(RATIONED_BYTES);
        };
        entry.conn.completed_by(&self.shared.rules, &self.peek_buffer[..len])
    }

    /// The connection has one turn, and reads so many bytes.
    fn pass(&mut self, slot: usize, bytes: usize) {
        let Some(entry) = self.table.get(slot) else { return };
        entry.waits_for_memory = false;
        self.waiting.passed = Some((entry.id, bytes));
        self.waiting.last[1] = Some((entry.id, self.now_ms));
        self.waiting.slots.retain(|waiting| *waiting != slot);
        self.turn(slot);
        self.waiting.passed = None;
    }
}
