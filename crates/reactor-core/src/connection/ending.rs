//! Owns how a connection ends: by a close that answers what was admitted, or a cut that does not. Knows nothing of the
//! loop that carries it out.

use super::{Abandoned, Connection, Phase, Rules, Status};
use crate::config::{LINGER_BYTES, LINGER_MS};
use crate::framing::{Next, Scan};
use crate::handler::{CloseReason, FrameEnd};
use crate::ordering::Ending;
use crate::output::Output;

impl Connection {
    /// The peer's FIN: no more requests. What was admitted is answered.
    pub(crate) fn end_of_input(&mut self) {
        self.peer_finished = true;
        if self.phase == Phase::Open && !self.input_over {
            self.input_over = true;
            self.reason.get_or_insert(CloseReason::Peer);
            if !self.stalled {
                self.end_partial();
            }
        }
    }

    /// The bytes that follow are no request, and nothing after them is.
    pub(super) fn refuse_input(&mut self, reason: CloseReason, len: usize) -> usize {
        self.input_over = true;
        self.reason = Some(reason);
        len
    }

    /// The input is over, and what is left of it is no whole frame.
    pub(super) fn end_partial(&mut self) {
        if self.input.len() > self.input_head || self.scan != Scan::default() {
            if self.reason == Some(CloseReason::Peer) {
                self.reason = Some(CloseReason::ProtocolError);
            }
            self.input = Vec::new();
            self.input_head = 0;
            self.scan = Scan::default();
        }
    }

    /// What follows from how a reply ended, now that it has left.
    #[inline]
    pub(super) fn go_on(&mut self, ending: Ending) {
        match ending {
            Ending::Continue => {}
            Ending::Close => self.end_with(CloseReason::Local),
            Ending::Failed => self.end_with(CloseReason::CallbackFailed),
            Ending::TooLarge => self.end_with(CloseReason::OutputLimit),
        }
    }

    /// What follows from how a reply ended that has yet to leave: nothing later begins.
    pub(super) fn stop_beginning(&mut self, ending: Ending) {
        match ending {
            Ending::Continue => {}
            Ending::Close | Ending::Failed | Ending::TooLarge => {
                self.last_begun = true;
                self.input_over = true;
                self.drop_input();
            }
        }
    }

    /// Sends what is in the output and ends. Later requests are not begun, replies in the making are dropped.
    pub(super) fn end_with(&mut self, reason: CloseReason) {
        if self.phase == Phase::Open {
            self.phase = Phase::Ending;
            self.input_over = true;
            self.reason = Some(reason);
            self.drop_input();
            self.window.clear();
        }
    }

    pub(super) fn drop_input(&mut self) {
        self.input = Vec::new();
        self.input_head = 0;
        self.scan = Scan::default();
        self.stalled = false;
    }

    /// Reading ends; what was admitted is answered, a partial frame is dropped.
    pub(crate) fn close(&mut self, reason: CloseReason, now_ms: u64) {
        if self.phase == Phase::Open {
            // A peer that has been quiet for so long has read what it was sent.
            self.lingers = !self.is_idle() || now_ms < self.active_ms + LINGER_MS;
            self.input_over = true;
            if matches!(self.reason, None | Some(CloseReason::Peer)) {
                self.reason = Some(reason);
            }
            if !self.stalled {
                self.end_partial();
            }
        }
    }

    /// Ends it now, unsent bytes and all.
    pub(crate) fn cut(&mut self, reason: CloseReason, os_error: i32) {
        if self.phase == Phase::Over {
            return;
        }
        let requests = if self.phase == Phase::Open { u64::from(self.in_flight) } else { 0 };
        self.abandoned = Abandoned { requests, unsent_bytes: self.output.len() as u64 };
        // A connection that only lingered has ended already; how the peer takes its leave is no news.
        if self.phase != Phase::Lingering {
            self.reason = Some(reason);
            self.os_error = os_error;
        }
        self.phase = Phase::Over;
        self.input_over = true;
        self.drop_input();
        self.window.clear();
        self.output = Output::default();
    }

    /// What it left behind where it was cut.
    pub(crate) fn abandoned(&self) -> Abandoned {
        self.abandoned
    }

    /// Whole frames that have been read and not begun.
    pub(crate) fn waiting_requests(&self, rules: &Rules, mut frame_end: impl FnMut(&[u8], usize) -> FrameEnd) -> u64 {
        let mut rest = &self.input[self.input_head..];
        let mut scan = self.scan;
        let mut count = 0;
        while self.stalled
            && let Next::Frame(len) = rules.framer.next(rest, &mut scan, &mut frame_end)
        {
            rest = &rest[len..];
            count += 1;
        }
        count
    }

    /// What the loop has to do, once input, replies and writes of the turn are through.
    pub(crate) fn status(&self) -> Status {
        match self.phase {
            Phase::Open | Phase::Ending => {
                let answered = self.input_over && !self.stalled && self.in_flight == 0;
                if (answered || self.phase == Phase::Ending) && self.output.is_empty() {
                    Status::Finished { linger: self.lingers && !self.peer_finished }
                } else {
                    Status::Open
                }
            }
            Phase::Lingering if self.peer_finished || self.lingered_bytes >= LINGER_BYTES => Status::Cut,
            Phase::Lingering => Status::Open,
            Phase::Over => Status::Cut,
        }
    }

    /// The write side is shut; what the peer still sends is thrown away for a while.
    pub(crate) fn linger(&mut self, now_ms: u64) {
        debug_assert!(matches!(self.status(), Status::Finished { linger: true }));
        self.phase = Phase::Lingering;
        self.write_since_ms = now_ms;
    }
}
