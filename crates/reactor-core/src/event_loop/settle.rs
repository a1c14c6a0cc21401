//! Owns what follows a turn of a connection: what others are told of it, what is left to do and when, or its end; and how
//! it comes to rest. Owns its writes too. Knows nothing of input.

use std::io::{self, IoSlice};
use std::mem;
use std::sync::Arc;

use nix::libc::MSG_NOSIGNAL;

use crate::config::{AWAKE_MS, GATHERED_SLICES, HEAP_SHARE, READ_BUFFER_BYTES, RECYCLED_BUFFERS, RECYCLED_BYTES};
use crate::connection::{Rules, Status};
use crate::event_loop::EventLoop;
use crate::event_loop::host::queue;
use crate::event_loop::table::Entry;
use crate::handler::{CloseReason, Handler};
use crate::run::{Run, worth_keeping};
use crate::shared::{LoopShared, Shared};
use crate::stats::LoopStats;
use crate::timers::UNARMED;

impl<H: Handler> EventLoop<H> {
    /// Once in a while: gives back the run of a connection that has no requests, and lets one rest that does nothing.
    pub(crate) fn check_rest(&mut self, slot: usize) {
        let Some(entry) = self.table.get(slot).filter(|entry| entry.checked_ms <= self.now_ms) else { return };
        entry.checked_ms = self.now_ms + AWAKE_MS;
        let quiet = entry.conn.in_flight() == 0;
        if let Some(run) = entry.run.take_if(|run| quiet && Arc::get_mut(run).is_some()) {
            self.recycle_run(run);
        }
    }

    pub(crate) fn recycle_run(&mut self, run: Arc<Run<H::Data>>) {
        run.let_go();
        if self.spare_runs.len() < RECYCLED_BUFFERS && !run.is_larger_than(RECYCLED_BYTES) {
            self.spare_runs.push(run);
        }
    }

    /// After a turn: what is left to do, now or later.
    pub(crate) fn settle(&mut self, slot: usize) {
        let Some(entry) = self.table.get(slot).filter(|entry| entry.socket.is_some()) else { return };
        let sent_from = entry.conn.take_back_output(&mut self.output);
        if self.output.capacity() == 0 {
            // It went out as a part of the output.
            self.output.reserve(READ_BUFFER_BYTES);
        }
        if let Some(mut buffer) = sent_from.filter(worth_keeping)
            && self.spare_outputs.len() < RECYCLED_BUFFERS
        {
            buffer.clear();
            self.spare_outputs.push(buffer);
        }
        if entry.is_quiet() {
            // It was not idle when it was armed last, perhaps. Any other deadline comes no sooner than the one armed.
            if self.shared.rules.config.idle_timeout_ms > 0 {
                self.arm(slot);
            }
            return;
        }
        let shared = &*self.shared;
        if entry.run_stalled
            && !entry.conn.is_held()
            && let Some(run) = &entry.run
        {
            entry.run_stalled = false;
            queue(run, run.resume(), &mut self.to_pool);
        }
        if entry.hung_up {
            // Reading may have paused on the way to the error.
            entry.ask_for_error(&shared.rules);
        }
        entry.tell(self.now_ms, shared, &shared.loops[self.index]);
        match entry.conn.status() {
            Status::Open => {
                let more = entry.readable && !entry.waits_for_memory && entry.conn.wants_read(&shared.rules);
                if more || entry.conn.wants_advance(&shared.rules) {
                    self.queue(slot);
                }
                self.arm(slot);
            }
            Status::Finished { linger } => self.finish(slot, linger),
            Status::Cut => self.end(slot),
        }
    }

    /// Lets it rest where it can, with no deadline but its own.
    pub(crate) fn settle_down(&mut self, slot: usize) {
        let Some(entry) = self.table.get(slot) else { return };
        if entry.at_rest().is_none() {
            return self.arm(slot);
        }
        entry.checked_ms = UNARMED;
        if let Some(deadline_ms) = entry.conn.deadline_ms(&self.shared.rules) {
            self.timers.arm(slot, deadline_ms, &mut entry.armed_ms);
        }
        self.table.rest(slot);
    }

    pub(crate) fn arm(&mut self, slot: usize) {
        let Some(entry) = self.table.get(slot) else { return };
        if entry.checked_ms == UNARMED {
            entry.checked_ms = self.now_ms + AWAKE_MS;
        }
        let deadline_ms = entry.conn.deadline_ms(&self.shared.rules).unwrap_or(UNARMED).min(entry.checked_ms);
        self.timers.arm(slot, deadline_ms, &mut entry.armed_ms);
    }
}

impl<D: Clone> Entry<D> {
    /// Whether it does nothing, others know as much, and it is looked at again before long: as most connections are after
    /// most turns.
    fn is_quiet(&self) -> bool {
        let waits = self.readable || self.hung_up || self.write_blocked || self.waits_for_memory || self.run_stalled;
        let told = self.told_memory_bytes + self.told_unsent_bytes == 0 && self.checked_ms != UNARMED;
        told && !waits && self.conn.rests()
    }

    /// Tells others what has changed: the memory it holds, its unsent output, whether its reading stands still.
    fn tell(&mut self, now_ms: u64, shared: &Shared, reactor: &LoopShared) {
        let was_paused = self.conn.is_paused();
        self.conn.pause(&shared.rules, now_ms, self.waits_for_memory);
        if self.conn.is_paused() && !was_paused {
            reactor.stats.reads_paused.add(1);
        }
        let held_bytes = self.conn.memory_bytes();
        let memory_bytes = held_bytes + held_bytes / HEAP_SHARE;
        if memory_bytes != self.told_memory_bytes {
            let before = mem::replace(&mut self.told_memory_bytes, memory_bytes);
            shared.change_memory(before, memory_bytes);
            reactor.stats.memory.add((memory_bytes as u64).wrapping_sub(before as u64));
            let output_bytes = self.conn.output_memory_bytes();
            shared.budget.change_output(mem::replace(&mut self.told_output_bytes, output_bytes), output_bytes);
        }
        let unsent_bytes = self.conn.unsent_bytes();
        if unsent_bytes != self.told_unsent_bytes {
            self.told_unsent_bytes = unsent_bytes;
            reactor.slots.with(self.id, |known| known.unsent_bytes = unsent_bytes);
        }
    }

    /// The peer's side may be in error, and nobody will read it: asks.
    pub(crate) fn ask_for_error(&mut self, rules: &Rules) {
        if self.conn.wants_read(rules) && !self.waits_for_memory {
            return;
        }
        let error = self.socket.as_ref().and_then(|socket| socket.take_error().ok().flatten());
        if let Some(error) = error {
            self.conn.cut(CloseReason::Reset, error.raw_os_error().unwrap_or(0));
        }
    }

    /// Writes what the socket takes.
    pub(crate) fn write(&mut self, rules: &Rules, now_ms: u64, stats: &LoopStats) {
        let Some(socket) = &self.socket else { return };
        let (asked, sent) = if let Some(bytes) = self.conn.single_output() {
            (bytes.len(), socket.send_with_flags(bytes, MSG_NOSIGNAL))
        } else {
            let mut slices = [IoSlice::new(&[]); GATHERED_SLICES];
            let filled = self.conn.output(&mut slices);
            let slices = &slices[..filled];
            (slices.iter().map(|slice| slice.len()).sum(), socket.send_vectored_with_flags(slices, MSG_NOSIGNAL))
        };
        match sent {
            Ok(sent) => {
                self.write_blocked = sent < asked;
                self.conn.wrote(rules, now_ms, sent);
                stats.bytes_out.add(sent as u64);
                if let Some(run) = &self.run {
                    run.sent(sent);
                }
            }
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => self.write_blocked = true,
                _ => {
                    self.conn.cut(CloseReason::Reset, error.raw_os_error().unwrap_or(0));
                }
            },
        }
    }
}
