//! Owns the turn of one connection: read, begin, write, as far as socket and state machine want, within a budget.

use std::io::{self, IoSlice, Read};
use std::mem;
use std::sync::Arc;

use mio::event::Event;
use nix::libc::MSG_NOSIGNAL;
use socket2::Socket;

use crate::config::{
    AWAKE_MS, GATHERED_SLICES, HEAP_SHARE, READ_BUFFER_BYTES, READ_HEADROOM_BYTES, RECYCLED_BUFFERS, RECYCLED_BYTES,
    TURN_BUDGET_BYTES,
};
use crate::connection::{Connection, Host, Rules, Status};
use crate::event_loop::EventLoop;
use crate::event_loop::host::{Inline, Pooled, queue};
use crate::event_loop::table::Entry;
use crate::handler::{CloseReason, Handler};
use crate::run::{Run, worth_keeping};
use crate::shared::{LoopShared, Shared};
use crate::stats::LoopStats;
use crate::timers::UNARMED;

/// What of a connection's input to give to the state machine.
enum Give {
    /// So many bytes behind the headroom, and as many before its end that belong to them.
    Read { partial: usize, len: usize },
    /// What waits in the connection.
    Waiting,
}

impl<H: Handler> EventLoop<H> {
    pub(crate) fn on_event(&mut self, slot: usize, event: &Event) {
        // Whether reading has to go on until nothing is there: a short read does not tell.
        let to_the_end = event.is_read_closed() || event.is_error() || event.is_priority();
        let readable = event.is_readable() || to_the_end;
        if !readable && self.table.is_resting(slot) {
            // That it could write what it does not have, as the poller says of each new connection.
            return;
        }
        let Some(entry) = self.table.get(slot).filter(|entry| entry.socket.is_some()) else {
            return;
        };
        entry.readable |= readable;
        entry.hung_up |= to_the_end;
        if event.is_writable() {
            entry.write_blocked = false;
        }
        if event.is_error() {
            entry.ask_for_error(&self.shared.rules);
        }
        self.turn(slot);
    }

    /// Reads, begins and writes as far as the connection wants and its budget goes.
    pub(crate) fn turn(&mut self, slot: usize) {
        let Some(entry) = self.table.get(slot).filter(|entry| entry.socket.is_some()) else {
            return;
        };
        entry.conn.lend_output(&mut self.output);
        let mut budget = TURN_BUDGET_BYTES;
        loop {
            let rules = &self.shared.rules;
            let Some(entry) = self.table.get(slot) else { return };
            let reads = entry.readable && budget > 0 && entry.conn.wants_read(rules);
            if reads && let Some(most) = self.may_read(slot) {
                budget = budget.saturating_sub(self.read(slot, most));
                budget = if self.gives_way(slot) { 0 } else { budget };
                continue;
            }
            let rules = &self.shared.rules;
            let Some(entry) = self.table.get(slot) else { return };
            if budget > 0 && entry.conn.wants_advance(rules) {
                self.give(slot, Give::Waiting);
                budget = if self.gives_way(slot) { 0 } else { budget.saturating_sub(1024) };
            } else if !entry.write_blocked && entry.conn.wants_write() && !self.shared.stop.is_over() {
                entry.write(rules, self.now_ms, &self.shared.loops[self.index].stats);
            } else {
                break;
            }
        }
        self.settle(slot);
    }

    fn gives_way(&mut self, slot: usize) -> bool {
        self.table.get(slot).is_some_and(|entry| entry.conn.gives_way())
    }

    /// One read of `most` bytes at the most, and what follows from it. Says how many bytes it had.
    fn read(&mut self, slot: usize, most: usize) -> usize {
        let Some(entry) = self.table.get(slot) else { return 0 };
        let Some(socket) = &entry.socket else { return 0 };
        let (headroom, room) = self.read_buffer.split_at_mut(READ_HEADROOM_BYTES);
        let room = &mut room[..entry.conn.read_bytes(&self.shared.rules).min(most)];
        let partial = entry.conn.lend_partial(headroom);
        let mut reader: &Socket = socket;
        match reader.read(room) {
            Ok(0) => {
                entry.conn.keep_partial(&headroom[..partial]);
                entry.readable = false;
                entry.conn.end_of_input();
                0
            }
            Ok(len) => {
                // A short read has emptied the socket; the next event tells of more. Only a FIN or an error that came
                // with the data has no event of its own.
                entry.readable = len == room.len() || entry.hung_up;
                self.shared.loops[self.index].stats.bytes_in.add(len as u64);
                headroom.copy_within(..partial, READ_HEADROOM_BYTES - partial);
                self.give(slot, Give::Read { partial, len });
                len
            }
            Err(error) => {
                entry.conn.keep_partial(&headroom[..partial]);
                match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => {
                        entry.readable = false;
                        entry.hung_up = false;
                    }
                    _ => {
                        entry.readable = false;
                        entry.conn.cut(CloseReason::Reset, error.raw_os_error().unwrap_or(0));
                    }
                }
                0
            }
        }
    }

    /// Lets the connection begin what it has been given.
    fn give(&mut self, slot: usize, give: Give) {
        if self.pool.is_some() {
            self.attach_run(slot);
        }
        let Some(entry) = self.table.get(slot) else { return };
        let rules = &self.shared.rules;
        let reactor = &self.shared.loops[self.index];
        let Entry { conn, id, data, run, waits_since, .. } = entry;
        let turn_began = waits_since.take().unwrap_or(self.turn_began);
        if let Some(run) = run {
            let mut host = Pooled {
                handler: &*self.handler,
                reactor,
                conn: *id,
                data,
                refused: &mut self.refused,
                run,
                raw: rules.framer.is_raw(),
                batch: &mut self.batch,
                to_pool: &mut self.to_pool,
                turn_began,
            };
            give_to(conn, rules, self.now_ms, &self.read_buffer, give, &mut host);
            host.hand_over();
        } else {
            let mut host = Inline {
                handler: &*self.handler,
                shared: &self.shared,
                reactor,
                conn: *id,
                data,
                refused: &mut self.refused,
                turn_began,
                now_ms: self.now_ms,
                begun: 0,
            };
            give_to(conn, rules, self.now_ms, &self.read_buffer, give, &mut host);
            *waits_since = conn.gives_way().then_some(turn_began);
        }
    }

    /// Sees to it that the connection has a run.
    fn attach_run(&mut self, slot: usize) {
        let rules = &self.shared.rules;
        let Some(entry) = self.table.get(slot) else { return };
        if entry.run.is_none() {
            let run = self.spare_runs.pop().unwrap_or_else(|| {
                let raw_max_bytes = rules.framer.is_raw().then_some(rules.config.max_frame_bytes);
                Arc::new(Run::new(rules.is_serial(), raw_max_bytes, rules.config.output_high_bytes))
            });
            run.assign(entry.id, entry.data.clone(), entry.conn.next_request(), entry.conn.due_bytes());
            entry.run = Some(run);
            entry.run_stalled = false;
        }
    }

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
        if self.spare_runs.len() < RECYCLED_BUFFERS && !run.is_larger_than(RECYCLED_BYTES) {
            self.spare_runs.push(run);
        }
    }

    /// After a turn: what is left to do, now or later.
    fn settle(&mut self, slot: usize) {
        let Some(entry) = self.table.get(slot) else { return };
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
        }
        let unsent_bytes = self.conn.unsent_bytes();
        if unsent_bytes != self.told_unsent_bytes {
            self.told_unsent_bytes = unsent_bytes;
            reactor.slots.with(self.id, |known| known.unsent_bytes = unsent_bytes);
        }
    }

    /// The peer's side may be in error, and nobody will read it: asks.
    fn ask_for_error(&mut self, rules: &Rules) {
        if self.conn.wants_read(rules) {
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

fn give_to(conn: &mut Connection, rules: &Rules, now_ms: u64, buffer: &[u8], give: Give, host: &mut impl Host) {
    match give {
        Give::Read { partial, len } => {
            let from = READ_HEADROOM_BYTES - partial;
            conn.input(rules, now_ms, &buffer[from..READ_HEADROOM_BYTES + len], host);
        }
        Give::Waiting => conn.advance(rules, now_ms, host),
    }
}
