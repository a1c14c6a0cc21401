//! Owns what a loop does with its mail: connections to adopt, replies that are finished, pushes, closes. Each one that
//! touches a connection gives it a turn, so that all mail of a turn leaves by one write.

use std::mem;
use std::sync::Arc;

use crate::config::{KEPT_MAIL_BYTES, REFUSED_SLACK};
use crate::conn_id::ConnId;
use crate::connection::Answer;
use crate::event_loop::EventLoop;
use crate::event_loop::host::queue;
use crate::event_loop::table::Entry;
use crate::handler::{CloseReason, Handler};
use crate::ordering::Ending;
use crate::push::Push;
use crate::shared::Message;

impl<H: Handler> EventLoop<H> {
    /// `bytes` were posted beside the messages.
    pub(crate) fn on_mail(&mut self, mail: &mut Vec<Message>, bytes: &mut Vec<u8>) {
        let mut rest = &bytes[..];
        let mut answered_bytes = bytes.len();
        for message in mail.drain(..) {
            if let Message::Answer(_, answer) = &message {
                answered_bytes += answer.bytes.capacity();
            }
            self.on_message(message, &mut rest);
        }
        bytes.clear();
        bytes.shrink_to(KEPT_MAIL_BYTES);
        if self.shared.loops[self.index].took_answers(answered_bytes)
            && let Some(pool) = &self.pool
        {
            pool.go_on(&mut self.watch);
            // Whoever has gone on may be stuck before another turn hands work over.
            self.watching = true;
        }
    }

    /// `beside`: what was posted beside this message and those that follow it.
    fn on_message(&mut self, message: Message, beside: &mut &[u8]) {
        match message {
            Message::Adopt(socket, peer) => self.open(socket, peer),
            Message::Copied(conn, answer, len) => {
                let replies = beside.split_off(..len).unwrap_or_default();
                self.on_answer(conn, answer, Some(replies), false);
            }
            Message::Answer(conn, answer) => self.on_answer(conn, answer, None, false),
            Message::Late(conn, answer) => self.on_answer(conn, answer, None, true),
            Message::Push(conn, push) => self.on_push(conn, &push),
            Message::Broadcast(push, except) => self.on_broadcast(&push, except),
            Message::Close(conn) => self.on_close(conn),
            Message::Abort(conn) => self.on_abort(conn),
            Message::Stalled(conn) => {
                if let Some(entry) = self.open_entry(conn) {
                    entry.run_stalled = true;
                    self.queue(conn.slot());
                }
            }
            Message::Resume => self.on_resume(),
            Message::Left(conn) => {
                if self.table.find(conn).is_some() {
                    self.forget(conn.slot());
                }
            }
        }
    }

    /// The connection of this id, unless its socket is closed.
    fn open_entry(&mut self, conn: ConnId) -> Option<&mut Entry<H::Data>> {
        self.table.find(conn).filter(|entry| entry.socket.is_some())
    }

    /// `copied`: the replies, where `answer` does not have them. `late`: it was deferred.
    fn on_answer(&mut self, conn: ConnId, answer: Answer, copied: Option<&[u8]>, late: bool) {
        let now_ms = self.now_ms;
        let rules = &self.shared.rules;
        let reactor = &self.shared.loops[self.index];
        let Some(entry) = self.table.find(conn).filter(|entry| entry.socket.is_some()) else { return };
        let before = entry.conn.in_flight();
        let ending = answer.ending;
        // Counted once.
        let is_told = entry.conn.ends_again(rules, &answer);
        if let Some(run) = entry.run.as_ref().filter(|_| late) {
            run.add_due(answer.bytes.len());
            if ending != Ending::Continue {
                run.stop();
            } else if rules.is_serial() {
                queue(run, run.unblock(), &mut self.to_pool);
            }
        }
        match copied {
            Some(bytes) => {
                let mut buffer = self.spare_outputs.pop().unwrap_or_default();
                entry.conn.lend_output(&mut buffer);
                entry.conn.reply_copied(rules, now_ms, &answer, bytes);
                if buffer.capacity() > 0 {
                    self.spare_outputs.push(buffer);
                }
            }
            None => entry.conn.reply(rules, now_ms, answer),
        }
        let answered = before - entry.conn.in_flight();
        reactor.stats.in_flight.sub(answered.into());
        if answered > 0 {
            reactor.count_answers(answered, if is_told { Ending::Continue } else { ending }, &self.shared.stop);
        }
        self.queue(conn.slot());
    }

    pub(crate) fn on_push(&mut self, conn: ConnId, push: &Arc<Push>) {
        let now_ms = self.now_ms;
        let shared = Arc::clone(&self.shared);
        let slots = &shared.loops[self.index].slots;
        // At once, so that no send in between finds them in neither.
        slots.with(conn, |known| {
            known.mailed_bytes = known.mailed_bytes.saturating_sub(push.len());
            known.unsent_bytes += push.len();
        });
        let Some(entry) = self.open_entry(conn) else { return };
        entry.told_unsent_bytes += push.len();
        entry.push(&shared.rules, now_ms, push);
        self.queue(conn.slot());
    }

    fn on_broadcast(&mut self, push: &Arc<Push>, except: ConnId) {
        let now_ms = self.now_ms;
        let shared = Arc::clone(&self.shared);
        let limit_bytes = shared.rules.config.output_limit_bytes;
        for slot in self.table.slots() {
            let Some(entry) = self.table.get(slot).filter(|entry| entry.socket.is_some()) else { continue };
            if entry.id != except && entry.conn.unsent_bytes().saturating_add(push.len()) <= limit_bytes {
                entry.push(&shared.rules, now_ms, push);
                self.queue(slot);
            }
        }
    }

    fn on_close(&mut self, conn: ConnId) {
        let now_ms = self.now_ms;
        if let Some(entry) = self.open_entry(conn) {
            entry.conn.close(CloseReason::Local, now_ms);
            self.queue(conn.slot());
        }
    }

    fn on_abort(&mut self, conn: ConnId) {
        if let Some(entry) = self.open_entry(conn) {
            // The peer gets a reset rather than what the system still holds (socket(7), SO_LINGER).
            if let Some(socket) = &entry.socket {
                let _ = socket.set_linger(Some(std::time::Duration::ZERO));
            }
            entry.conn.cut(CloseReason::Local, 0);
            self.queue(conn.slot());
        }
    }

    /// The handler may have room again for what it refused; the first refused are the first to be offered.
    fn on_resume(&mut self) {
        for conn in mem::take(&mut self.refused) {
            if let Some(entry) = self.open_entry(conn) {
                entry.conn.resume();
                self.queue(conn.slot());
            }
        }
    }

    /// Forgets the ended ones, once they are the most of those that were refused.
    pub(crate) fn compact_refused(&mut self) {
        let table = &mut self.table;
        if self.refused.len() > 2 * table.len() + REFUSED_SLACK {
            self.refused.retain(|conn| table.find(*conn).is_some());
        }
    }

    /// The slot has a turn before the loop sleeps again.
    pub(crate) fn queue(&mut self, slot: usize) {
        if let Some(entry) = self.table.get(slot)
            && !mem::replace(&mut entry.queued, true)
        {
            self.ready.push_back(slot);
        }
    }
}
