//! Owns the replies of a connection and what else it is to send: in which order they join the output, and what ends with
//! them. Knows nothing of who made them.

use std::borrow::Cow;
use std::mem;
use std::sync::Arc;

use super::{Connection, Phase, Rules};
use crate::handler::CloseReason;
use crate::ordering::Ending;
use crate::push::Push;

/// Replies to one request or, in SERIAL, to several that follow each other.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The number of the first request.
    pub(crate) first: u64,
    /// How many requests it answers.
    pub(crate) count: u32,
    /// The bytes of those requests together.
    pub(crate) request_bytes: usize,
    /// The replies, one behind the other.
    pub(crate) bytes: Vec<u8>,
    /// How the last of them ends.
    pub(crate) ending: Ending,
}

impl Connection {
    /// `count` replies, to the requests from `first` on whose bytes together were `request_bytes`.
    pub(crate) fn reply(&mut self, rules: &Rules, now_ms: u64, mut answer: Answer) {
        let bytes = mem::take(&mut answer.bytes);
        self.take_reply(rules, now_ms, &answer, bytes.into());
    }

    /// As [`reply`](Connection::reply), with bytes that stay the caller's.
    pub(crate) fn reply_copied(&mut self, rules: &Rules, now_ms: u64, answer: &Answer, bytes: &[u8]) {
        self.take_reply(rules, now_ms, answer, bytes.into());
    }

    fn take_reply(&mut self, rules: &Rules, now_ms: u64, answer: &Answer, bytes: Cow<'_, [u8]>) {
        self.begin_output(now_ms);
        self.active_ms = now_ms;
        if self.phase != Phase::Open {
            return;
        }
        if self.has_answered(rules, answer.first) {
            // A promise was kept, and then its callback failed; or the other way round.
            if answer.ending == Ending::Failed {
                self.stop_beginning(Ending::Failed);
                if self.window.fail(answer.first) {
                    self.end_with(CloseReason::CallbackFailed);
                }
            }
            return;
        }
        // A promise may have been kept before its callback failed: that request is answered twice.
        let again = self.ends_again(rules, answer);
        debug_assert!(self.in_flight >= answer.count || answer.ending == Ending::Failed, "an answer to no request");
        self.in_flight = self.in_flight.saturating_sub(answer.count - u32::from(again));
        self.in_flight_bytes -= answer.request_bytes.min(self.in_flight_bytes);
        if !rules.ordered() {
            self.output.append(bytes);
            self.go_on(answer.ending);
        } else if self.window.is_due(answer.first) {
            self.output.append(bytes);
            self.window.left(u64::from(answer.count));
            self.go_on(answer.ending);
            while self.phase == Phase::Open
                && let Some((bytes, ending)) = self.window.pop()
            {
                self.output.append(bytes.into());
                self.go_on(ending);
            }
        } else {
            debug_assert_eq!(answer.count, 1, "only SERIAL answers several at once, and in order");
            self.stop_beginning(answer.ending);
            self.window.hold(answer.first, bytes.into_owned(), answer.ending);
        }
        self.update_held(rules);
    }

    /// Whether the last of several requests that it answers has been answered: its promise was dropped, and then its
    /// callback failed.
    pub(crate) fn ends_again(&self, rules: &Rules, answer: &Answer) -> bool {
        answer.count > 1 && self.has_answered(rules, answer.first + u64::from(answer.count) - 1)
    }

    /// Whether this request has been answered: no answer that comes now is news. Where replies leave in any order nobody
    /// keeps track.
    fn has_answered(&self, rules: &Rules, request: u64) -> bool {
        rules.ordered() && !self.window.is_open(request)
    }

    /// Bytes that no request asked for.
    pub(crate) fn push(&mut self, rules: &Rules, now_ms: u64, push: &Arc<Push>) {
        if self.phase == Phase::Open {
            self.begin_output(now_ms);
            self.output.append_push(push);
            self.update_held(rules);
        }
    }

    /// The time in which the peer has to take a byte begins with the first that is due.
    pub(super) fn begin_output(&mut self, now_ms: u64) {
        if self.phase == Phase::Open && self.output.is_empty() {
            self.write_since_ms = now_ms;
        }
    }
}
