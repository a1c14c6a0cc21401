//! Owns how a connection begins and ends on its loop, and how a stop ends them all.

use std::mem;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mio::unix::SourceFd;
use mio::{Interest, Token};
use socket2::Socket;

use crate::call;
use crate::config::ACCEPT_BUDGET;
use crate::connection::{Connection, Status};
use crate::event_loop::EventLoop;
use crate::event_loop::host::frame_end;
use crate::event_loop::table::Entry;
use crate::handler::{CloseReason, Handler, Peer};
use crate::scene;
use crate::timers::UNARMED;

impl<H: Handler> EventLoop<H> {
    /// Accepts a portion, where the queue has something and descriptors are there.
    pub(crate) fn accept(&mut self) {
        for _ in 0..ACCEPT_BUDGET {
            let now_ms = self.now_ms;
            let Some(acceptor) = self.acceptor.as_mut().filter(|acceptor| acceptor.is_ready(now_ms)) else {
                return;
            };
            let Some((socket, peer)) = acceptor.accept(now_ms, &self.shared.accept_errors) else { return };
            if self.table.len() + self.accepted.len() >= self.shared.rules.config.max_connections {
                log::debug!("a connection from {peer} is dropped: max_connections are open");
                self.reactor().stats.accepted.add(1);
                self.reactor().stats.refused.add(1);
                continue;
            }
            self.reactor().open.fetch_add(1, Ordering::Relaxed);
            self.accepted.push((socket, peer));
        }
    }

    /// Opens what was accepted, once the mail that was there then is through: a broadcast does not reach who connects
    /// after it was made.
    pub(crate) fn open_accepted(&mut self) {
        if self.accepted.is_empty() {
            return;
        }
        let mut accepted = mem::take(&mut self.accepted);
        for (socket, peer) in accepted.drain(..) {
            self.open(socket, peer);
        }
        self.accepted = accepted;
    }

    /// Takes a connection, if the handler wants it.
    pub(crate) fn open(&mut self, socket: Socket, peer: Peer) {
        let shared = Arc::clone(&self.shared);
        let reactor = &shared.loops[self.index];
        let id = if self.draining { None } else { self.table.reserve() };
        let Some(id) = id else {
            reactor.open.fetch_sub(1, Ordering::Relaxed);
            return;
        };
        let slot = id.slot();
        reactor.stats.accepted.add(1);
        reactor.slots.enter(id, peer.address());
        let (data, pushed) =
            scene::within(id, || call::contained(id, "open", &reactor.progress, || self.handler.open(id, peer)));
        let greetings = if pushed { scene::take_pushes() } else { Vec::new() };
        let Some(data) = data.flatten() else {
            reactor.slots.leave(id);
            reactor.stats.refused.add(1);
            reactor.open.fetch_sub(1, Ordering::Relaxed);
            self.table.free(slot);
            return;
        };
        reactor.stats.open.add(1);
        // Both interests once, edge-triggered: registrations never change again.
        let interests = Interest::READABLE | Interest::WRITABLE;
        // Out-of-band bytes cut a read short, and only this event tells of it.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let interests = interests | Interest::PRIORITY;
        let registered = self.poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), Token(slot), interests);
        let mut conn = Connection::new(self.now_ms);
        if let Err(error) = registered {
            log::warn!("connection {id}: registering it with the poller: {error}");
            conn.cut(CloseReason::Reset, error.raw_os_error().unwrap_or(0));
        }
        let ended = conn.status() == Status::Cut;
        self.table.fill(Entry::new(conn, socket, id, data));
        for greeting in &greetings {
            self.on_push(id, greeting);
        }
        if ended {
            self.end(slot);
        } else if shared.rules.config.idle_timeout_ms > 0 {
            self.settle_down(slot);
        }
    }

    /// All is sent: the peer gets its FIN. With `linger` the rest of what it sends is read first.
    pub(crate) fn finish(&mut self, slot: usize, linger: bool) {
        let now_ms = self.now_ms;
        let Some(entry) = self.table.get(slot) else { return };
        if let Some(socket) = &entry.socket {
            // It fails only where the peer has gone already.
            let _ = socket.shutdown(Shutdown::Write);
        }
        if linger {
            entry.conn.linger(now_ms);
            // What lies unread would turn the close into a reset: look for it, whatever events said.
            entry.readable = true;
            entry.waits_for_memory = false;
            self.queue(slot);
            self.arm(slot);
        } else {
            self.end(slot);
        }
    }

    /// Closes the socket. The connection's last callback comes now, or once the workers have left its requests.
    pub(crate) fn end(&mut self, slot: usize) {
        let draining = self.draining;
        let shared = Arc::clone(&self.shared);
        let reactor = &shared.loops[self.index];
        let Some(entry) = self.table.get(slot) else { return };
        if entry.socket.take().is_none() {
            return;
        }
        if let Some(acceptor) = &mut self.acceptor {
            acceptor.descriptor_freed();
        }
        reactor.slots.leave(entry.id);
        match entry.conn.reason().0 {
            CloseReason::Reset => reactor.stats.reset.add(1),
            CloseReason::IdleTimeout | CloseReason::FrameTimeout | CloseReason::WriteTimeout => {
                reactor.stats.timed_out.add(1);
            }
            CloseReason::Peer
            | CloseReason::Local
            | CloseReason::Shutdown
            | CloseReason::FrameTooLarge
            | CloseReason::ProtocolError
            | CloseReason::OutputLimit
            | CloseReason::CallbackFailed => {}
        }
        reactor.stats.open.sub(1);
        reactor.stats.in_flight.sub(u64::from(entry.conn.in_flight()));
        if draining && !reactor.is_cut() {
            reactor.stats.drain.end(entry.conn.abandoned());
        }
        shared.budget.change_output(mem::take(&mut entry.told_output_bytes), 0);
        let held = mem::take(&mut entry.told_memory_bytes);
        shared.change_memory(held, 0);
        reactor.stats.memory.sub(held as u64);
        let busy = entry.run.as_ref().is_some_and(|run| run.end());
        if !busy {
            self.forget(slot);
        }
    }

    /// The last callback of a connection; then its slot is free.
    pub(crate) fn forget(&mut self, slot: usize) {
        let shared = Arc::clone(&self.shared);
        let reactor = &shared.loops[self.index];
        let Some(entry) = self.table.free(slot) else { return };
        let Entry { conn, id, data, run, .. } = entry;
        if let Some(mut run) = run
            && Arc::get_mut(&mut run).is_some()
        {
            self.recycle_run(run);
        }
        let (reason, os_error) = conn.reason();
        log::debug!("connection {id} closed: {reason:?}, errno {os_error}");
        call::contained(id, "close", &reactor.progress, || self.handler.close(id, reason, os_error, data));
        reactor.open.fetch_sub(1, Ordering::Relaxed);
        self.compact_refused();
    }

    /// What is due by now.
    pub(crate) fn on_time(&mut self) {
        let table = &mut self.table;
        self.timers.compact(table.len(), |slot, deadline_ms| table.armed_ms(slot) == Some(deadline_ms));
        while let Some((slot, deadline_ms)) = self.timers.pop(self.now_ms) {
            if self.table.armed_ms(slot) != Some(deadline_ms) {
                continue;
            }
            let Some(entry) = self.table.get(slot) else { continue };
            entry.armed_ms = UNARMED;
            if entry.socket.is_none() {
                continue;
            }
            entry.conn.tick(&self.shared.rules, self.now_ms);
            match entry.conn.status() {
                Status::Cut => self.end(slot),
                Status::Open | Status::Finished { .. } => {
                    self.check_rest(slot);
                    self.settle_down(slot);
                }
            }
        }
    }

    /// Once a stop is asked for: no more connections, no more reading; at its deadline all that is left is cut.
    pub(crate) fn obey_stop(&mut self) {
        let Some(deadline_ms) = self.shared.stop.deadline_ms() else { return };
        if !self.draining {
            self.draining = true;
            self.acceptor = None;
            for slot in self.table.slots() {
                if let Some(entry) = self.table.get(slot).filter(|entry| entry.socket.is_some()) {
                    entry.conn.close(CloseReason::Shutdown, self.now_ms);
                    self.turn(slot);
                }
            }
        }
        if self.shared.stop.now_ms() >= deadline_ms && !self.reactor().is_cut() {
            self.cut_all();
        }
    }

    fn cut_all(&mut self) {
        let shared = Arc::clone(&self.shared);
        let reactor = &shared.loops[self.index];
        let report = &reactor.stats.drain;
        let slots = self.table.slots();
        for slot in &slots {
            let Some(entry) = self.table.get(*slot).filter(|entry| entry.socket.is_some()) else {
                continue;
            };
            if entry.conn.is_lingering() {
                report.connections_drained.add(1);
                continue;
            }
            let Entry { conn, id, data, .. } = entry;
            let handler = &*self.handler;
            let waiting =
                conn.waiting_requests(&shared.rules, |bytes, seen| frame_end(handler, reactor, *id, data, bytes, seen));
            conn.cut(CloseReason::Shutdown, 0);
            report.abort(conn.abandoned());
            report.requests_abandoned.add(waiting);
        }
        reactor.finish_cutting();
        for slot in slots {
            self.end(slot);
        }
    }
}
