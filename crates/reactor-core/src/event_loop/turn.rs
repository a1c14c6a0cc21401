//! Owns the turn of one connection: read, begin, write, as far as socket and state machine want, within a budget.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Instant;

use mio::event::Event;
use socket2::Socket;

use crate::config::{ADVANCE_BYTES, READ_HEADROOM_BYTES, TURN_BUDGET_BYTES};
use crate::conn_id::ConnId;
use crate::connection::{Connection, Host, Rules};
use crate::event_loop::EventLoop;
use crate::event_loop::host::{InTurn, Inline, Pooled};
use crate::event_loop::table::Entry;
use crate::handler::{CloseReason, Handler};
use crate::requests::Requests;
use crate::run::Run;
use crate::shared::{LoopShared, Shared};

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
        if entry.queued {
            // It gave way to others, and has its turn behind them in this very pass.
            return;
        }
        self.turn(slot);
    }

    /// Reads, begins and writes as far as the connection wants and its budget goes.
    pub(crate) fn turn(&mut self, slot: usize) {
        let mut budget = TURN_BUDGET_BYTES;
        let mut reading = Reading::Free;
        let mut in_turn = InTurn::default();
        while self.go_on(slot, &mut budget, reading, &mut in_turn) {
            reading = self.may_read(slot).map_or(Reading::Denied, Reading::Granted);
        }
        self.settle(slot);
    }

    /// Goes on with the turn. Says whether it has stopped because the connection wants to read and memory is short.
    fn go_on(&mut self, slot: usize, budget: &mut usize, mut reading: Reading, in_turn: &mut InTurn) -> bool {
        let Some(entry) = self.table.get(slot).filter(|entry| entry.socket.is_some()) else { return false };
        entry.conn.lend_output(&mut self.output);
        let shared = &self.shared;
        let rules = &shared.rules;
        let mut turn = Turn {
            entry,
            handler: &*self.handler,
            shared,
            reactor: &shared.loops[self.index],
            has_workers: self.pool.is_some(),
            now_ms: self.now_ms,
            clock_ms: &mut self.clock_ms,
            began: self.turn_began,
            read_buffer: &mut self.read_buffer,
            batch: &mut self.batch,
            refused: &mut self.refused,
            to_pool: &mut self.to_pool,
            spare_runs: &mut self.spare_runs,
            in_turn,
        };
        loop {
            let conn = &turn.entry.conn;
            let reads = turn.entry.readable && *budget > 0 && reading != Reading::Denied && conn.wants_read(rules);
            let used = if reads {
                let most = match std::mem::replace(&mut reading, Reading::Free) {
                    Reading::Granted(most) => most,
                    Reading::Free | Reading::Denied if shared.budget.is_short() => return true,
                    Reading::Free | Reading::Denied => usize::MAX,
                };
                turn.read(most)
            } else if *budget > 0 && conn.wants_advance(rules) {
                turn.give(Give::Waiting);
                ADVANCE_BYTES
            } else if !turn.entry.write_blocked && conn.wants_write() && !shared.stop.is_over() {
                turn.entry.write(rules, turn.now_ms, &turn.reactor.stats);
                continue;
            } else {
                return false;
            };
            *budget = if turn.entry.conn.gives_way() { 0 } else { budget.saturating_sub(used) };
        }
    }
}

/// Whether a connection may read, in what is left of its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// As long as memory is not short.
    Free,
    /// So many bytes, once, though it is.
    Granted(usize),
    Denied,
}

/// One connection in its turn, and what of its loop it works with: looked up once for all the turn does.
struct Turn<'a, H: Handler> {
    entry: &'a mut Entry<H::Data>,
    handler: &'a H,
    shared: &'a Arc<Shared>,
    reactor: &'a LoopShared,
    has_workers: bool,
    now_ms: u64,
    clock_ms: &'a mut u64,
    /// When the loop woke up.
    began: Instant,
    read_buffer: &'a mut [u8],
    batch: &'a mut Requests,
    refused: &'a mut Vec<ConnId>,
    to_pool: &'a mut Vec<Arc<Run<H::Data>>>,
    spare_runs: &'a mut Vec<Arc<Run<H::Data>>>,
    in_turn: &'a mut InTurn,
}

impl<H: Handler> Turn<'_, H> {
    /// One read of `most` bytes at the most, and what follows from it. Says how many bytes it had.
    fn read(&mut self, most: usize) -> usize {
        let Entry { conn, socket, readable, hung_up, .. } = &mut *self.entry;
        let Some(socket) = socket else { return 0 };
        let (headroom, room) = self.read_buffer.split_at_mut(READ_HEADROOM_BYTES);
        let room = &mut room[..conn.read_bytes(&self.shared.rules).min(most)];
        let partial = conn.lend_partial(headroom);
        let mut reader: &Socket = socket;
        match reader.read(room) {
            Ok(0) => {
                conn.keep_partial(&headroom[..partial]);
                *readable = false;
                conn.end_of_input();
                0
            }
            Ok(len) => {
                // A short read has emptied the socket; the next event tells of more. Only a FIN or an error that came
                // with the data has no event of its own.
                *readable = len == room.len() || *hung_up;
                self.reactor.stats.bytes_in.add(len as u64);
                if partial > 0 {
                    headroom.copy_within(..partial, READ_HEADROOM_BYTES - partial);
                }
                self.give(Give::Read { partial, len });
                len
            }
            Err(error) => {
                conn.keep_partial(&headroom[..partial]);
                match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => {
                        *readable = false;
                        *hung_up = false;
                    }
                    _ => {
                        *readable = false;
                        conn.cut(CloseReason::Reset, error.raw_os_error().unwrap_or(0));
                    }
                }
                0
            }
        }
    }

    /// Lets the connection begin what it has been given.
    fn give(&mut self, give: Give) {
        if self.has_workers {
            self.attach_run();
        }
        let rules = &self.shared.rules;
        let Entry { conn, id, data, run, waits_since, told_unsent_bytes, .. } = &mut *self.entry;
        let turn_began = waits_since.take().unwrap_or(self.began);
        if let Some(run) = run {
            let mut host = Pooled {
                handler: self.handler,
                reactor: self.reactor,
                conn: *id,
                data,
                refused: self.refused,
                run,
                raw: rules.framer.is_raw(),
                batch: self.batch,
                to_pool: self.to_pool,
                turn_began,
            };
            give_to(conn, rules, self.now_ms, self.read_buffer, give, &mut host);
            host.hand_over();
        } else {
            let mut host = Inline {
                handler: self.handler,
                shared: self.shared,
                reactor: self.reactor,
                conn: *id,
                data,
                refused: self.refused,
                turn_began,
                clock_ms: self.clock_ms,
                in_turn: &mut *self.in_turn,
                told_unsent_bytes,
            };
            give_to(conn, rules, self.now_ms, self.read_buffer, give, &mut host);
            *waits_since = conn.gives_way().then_some(turn_began);
        }
    }

    /// Sees to it that the connection has a run.
    fn attach_run(&mut self) {
        let entry = &mut *self.entry;
        if entry.run.is_none() {
            let rules = &self.shared.rules;
            let run = self.spare_runs.pop().unwrap_or_else(|| {
                let raw_max_bytes = rules.framer.is_raw().then_some(rules.config.max_frame_bytes);
                Arc::new(Run::new(rules.is_serial(), raw_max_bytes, rules.config.output_high_bytes))
            });
            run.assign(entry.id, entry.data.clone(), entry.conn.next_request(), entry.conn.due_bytes());
            entry.run = Some(run);
            entry.run_stalled = false;
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
