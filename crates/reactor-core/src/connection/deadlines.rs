//! Owns the time limits of a connection: which one is due next, and which stand still because this side keeps the
//! connection from reading. Knows nothing of clocks: the loop says what time it is.

use super::{Connection, Phase, Rules};
use crate::config::LINGER_MS;
use crate::handler::CloseReason;

impl Connection {
    /// Whether this side keeps the connection from reading: its timers of input stand still meanwhile. `elsewhere` says
    /// whether something beyond the connection itself does.
    pub(crate) fn pause(&mut self, rules: &Rules, now_ms: u64, elsewhere: bool) {
        let waits = !self.wants_read(rules) && !self.gives_way;
        let paused = self.phase == Phase::Open && !self.input_over && (elsewhere || waits);
        match self.paused_since_ms {
            None if paused => self.paused_since_ms = Some(now_ms),
            Some(since_ms) if !paused => {
                let stood_still_ms = now_ms - since_ms;
                // What began meanwhile begins now.
                self.frame_since_ms = (self.frame_since_ms + stood_still_ms).min(now_ms);
                self.active_ms = (self.active_ms + stood_still_ms).min(now_ms);
                self.paused_since_ms = None;
            }
            None | Some(_) => {}
        }
    }

    /// Whether reading stands still for this side's sake.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused_since_ms.is_some()
    }

    /// Since when a partial frame has been there, in the loop's milliseconds.
    pub(crate) fn partial_since_ms(&self) -> Option<u64> {
        let partial = !self.stalled && !self.input_over && self.input.len() > self.input_head;
        partial.then_some(self.frame_since_ms)
    }

    /// The next deadline, and what it means when it passes.
    fn next_deadline(&self, rules: &Rules) -> Option<(u64, CloseReason)> {
        let limit = |limit_ms: u64, since_ms: u64, reason| (limit_ms > 0).then_some((since_ms + limit_ms, reason));
        let config = &rules.config;
        match self.phase {
            Phase::Lingering => return Some((self.write_since_ms + LINGER_MS, CloseReason::Local)),
            Phase::Over => return None,
            Phase::Open | Phase::Ending => {}
        }
        let reading = !self.is_paused();
        let frame = self.partial_since_ms().filter(|_| reading);
        let frame = frame.and_then(|since_ms| limit(config.frame_timeout_ms, since_ms, CloseReason::FrameTimeout));
        let due = !self.output.is_empty();
        let write = due.then(|| limit(config.write_timeout_ms, self.write_since_ms, CloseReason::WriteTimeout));
        // One that the host had no room for is admitted, after a close too.
        let waits = self.stalled && self.refused;
        let quiet = reading && !due && self.in_flight == 0 && !waits;
        let idle = quiet.then(|| limit(config.idle_timeout_ms, self.active_ms, CloseReason::IdleTimeout));
        [frame, write.flatten(), idle.flatten()].into_iter().flatten().min_by_key(|(deadline_ms, _)| *deadline_ms)
    }

    /// When [`tick`](Connection::tick) is due, in the loop's milliseconds.
    pub(crate) fn deadline_ms(&self, rules: &Rules) -> Option<u64> {
        self.next_deadline(rules).map(|(deadline_ms, _)| deadline_ms)
    }

    /// Time has come: ends the connection where a deadline has passed.
    pub(crate) fn tick(&mut self, rules: &Rules, now_ms: u64) {
        if let Some((deadline_ms, reason)) = self.next_deadline(rules)
            && deadline_ms <= now_ms
        {
            self.cut(reason, 0);
        }
    }
}
