//! Owns what a connection reads: which bytes wait, when the next request may begin, and how much memory the input has.
//! Knows nothing of sockets.

use std::mem;

use super::{Begun, Connection, Host, Phase, Rules};
use crate::config::{BACKLOG_READ_BYTES, RATIONED_BYTES, READ_BUFFER_BYTES};
use crate::framing::{Next, Scan};
use crate::handler::CloseReason;
use crate::ordering::Ending;

impl Connection {
    /// Whether bytes are wanted from the socket.
    pub(crate) fn wants_read(&self, rules: &Rules) -> bool {
        match self.phase {
            Phase::Open => !self.input_over && !self.stalled && self.may_begin(rules),
            Phase::Ending | Phase::Over => false,
            Phase::Lingering => !self.peer_finished,
        }
    }

    /// How much of it a read should take at the most: what cannot begin soon had better wait in the system's buffer.
    pub(crate) fn read_bytes(&self, rules: &Rules) -> usize {
        let backlog = self.in_flight > 0 && self.in_flight >= rules.concurrency / 2;
        if backlog && self.phase == Phase::Open { BACKLOG_READ_BYTES } else { READ_BUFFER_BYTES }
    }

    /// Whether [`advance`](Connection::advance) would find something to do.
    pub(crate) fn wants_advance(&self, rules: &Rules) -> bool {
        self.stalled && !self.refused && self.phase == Phase::Open && self.may_begin(rules)
    }

    /// Whether it has more to begin in its next turn, and no more in this one.
    pub(crate) fn gives_way(&self) -> bool {
        self.gives_way
    }

    /// The host may have room again.
    pub(crate) fn resume(&mut self) {
        self.refused = false;
    }

    /// Moves a small partial frame to the front of the loop's buffer, so that the next read completes it in place:
    /// the bytes that [`input`](Connection::input) is given next begin with it. Says how many bytes it moved.
    pub(crate) fn lend_partial(&mut self, headroom: &mut [u8]) -> usize {
        let partial = &self.input[self.input_head..];
        if partial.is_empty() || partial.len() > headroom.len() {
            return 0;
        }
        let len = partial.len();
        headroom[..len].copy_from_slice(partial);
        self.input = Vec::new();
        self.input_head = 0;
        len
    }

    /// Undoes [`lend_partial`](Connection::lend_partial) where nothing was read.
    pub(crate) fn keep_partial(&mut self, partial: &[u8]) {
        debug_assert!(partial.is_empty() || self.input.is_empty(), "it was lent");
        self.input.extend_from_slice(partial);
    }

    /// Bytes that were read. Requests that may begin do so.
    pub(crate) fn input(&mut self, rules: &Rules, now_ms: u64, bytes: &[u8], host: &mut impl Host) {
        self.active_ms = now_ms;
        self.begin_output(now_ms);
        if self.phase == Phase::Lingering {
            self.lingered_bytes += bytes.len();
            return;
        }
        if self.input_over {
            return;
        }
        let partial_before = !self.input.is_empty() || self.scan != Scan::default();
        let begun_before = self.next_request;
        let mut rest = bytes;
        while !rest.is_empty() && self.phase == Phase::Open && !self.input_over {
            if self.input.is_empty() {
                let used = self.begin_from(rules, rest, host);
                if used < rest.len() && self.phase == Phase::Open && !self.input_over {
                    self.make_room(rest.len() - used);
                    self.input.extend_from_slice(&rest[used..]);
                }
                break;
            }
            // What completes a frame joins it; what follows is used in place.
            let (joins, follows) = rest.split_at(self.missing_bytes().min(rest.len()));
            self.make_room(joins.len());
            self.input.extend_from_slice(joins);
            self.advance(rules, now_ms, host);
            rest = follows;
        }
        // One that was refused is whole: what stands behind it came with these bytes.
        if !partial_before || self.next_request != begun_before || self.refused {
            self.frame_since_ms = now_ms;
        }
    }

    /// How many more bytes there must be before it is worth looking at the frame again.
    fn needed_bytes(&self) -> usize {
        self.scan.need().saturating_sub(self.input.len() - self.input_head)
    }

    /// How many more bytes complete the frame; all there are where that is not known.
    fn missing_bytes(&self) -> usize {
        match self.needed_bytes() {
            0 | 1 => usize::MAX,
            missing => missing,
        }
    }

    /// Grows the input by halves; at once to the end of the frame, and no further, where that is known and near.
    fn make_room(&mut self, more: usize) {
        let len = self.input.len() + more;
        if len > self.input.capacity() {
            let frame_end = self.input_head.saturating_add(self.scan.need());
            let grown = len.max(self.input.capacity() + self.input.capacity() / 2);
            let near = (len + 1..=4 * len).contains(&frame_end);
            self.input.reserve_exact(if near { frame_end } else { grown } - self.input.len());
        }
    }

    /// How much of `next`, the bytes that would be read, completes the first frame. `None` where they do not, or only a
    /// callback could tell.
    pub(crate) fn completed_by(&self, rules: &Rules, next: &[u8]) -> Option<usize> {
        rules.framer.completed_by(&self.input[self.input_head..], next, self.scan)
    }

    /// What a read may take while memory is short: no more than the frame that it is for, and where nobody can say how
    /// long that is, little.
    pub(crate) fn rationed_bytes(&self) -> usize {
        self.needed_bytes().max(RATIONED_BYTES)
    }

    /// Whether all that it asked has been answered, and the answers have left.
    pub(crate) fn is_served(&self) -> bool {
        self.in_flight == 0 && self.output.is_empty() && !self.stalled
    }

    /// Begins what waits in the input and may begin now.
    pub(crate) fn advance(&mut self, rules: &Rules, now_ms: u64, host: &mut impl Host) {
        self.begin_output(now_ms);
        let mut waiting = mem::take(&mut self.input);
        let head = mem::take(&mut self.input_head);
        let used = head + self.begin_from(rules, &waiting[head..], host);
        if self.phase != Phase::Open || used == waiting.len() {
            return;
        }
        if self.input_over && !self.stalled {
            // What is left is a partial frame, and its end will not come.
            self.end_partial();
            return;
        }
        // Moved down only once it is worth it, so that many small frames cost no quadratic copying.
        if used > waiting.len() / 2 {
            waiting.drain(..used);
            waiting.shrink_to(waiting.len() + waiting.len() / 8);
        } else {
            self.input_head = used;
        }
        self.input = waiting;
    }

    /// Begins whole frames at the front of `bytes` as far as they may; says how many bytes they had.
    fn begin_from(&mut self, rules: &Rules, bytes: &[u8], host: &mut impl Host) -> usize {
        let mut used = 0;
        self.stalled = false;
        self.gives_way = false;
        while used < bytes.len() {
            if used > 0 && host.turn_is_over() {
                self.stalled = self.phase == Phase::Open && !self.last_begun;
                self.gives_way = true;
                break;
            }
            if self.phase != Phase::Open || !self.may_begin(rules) {
                self.stalled = self.phase == Phase::Open && !self.last_begun;
                break;
            }
            let rest = &bytes[used..];
            let scan = self.scan;
            match rules.framer.next(rest, &mut self.scan, |bytes, seen| host.frame_end(bytes, seen)) {
                Next::Frame(_) if !host.has_room() => {
                    // It is found again, from where the search had come.
                    self.scan = scan;
                    self.stalled = true;
                    self.refused = true;
                    break;
                }
                Next::Frame(len) => {
                    self.begin(rules, &rest[..len], host);
                    used += len;
                }
                Next::Incomplete => break,
                Next::TooLarge => return self.refuse_input(CloseReason::FrameTooLarge, bytes.len()),
                Next::Refused => return self.refuse_input(CloseReason::ProtocolError, bytes.len()),
            }
        }
        used
    }

    fn begin(&mut self, rules: &Rules, frame: &[u8], host: &mut impl Host) {
        let payload = rules.framer.payload(frame);
        let number = self.next_request;
        let start = self.output.tail().len();
        match host.request(number, payload, self.output.tail()) {
            Begun::Answered(ending) => self.answered(rules, number, start, ending),
            Begun::AnsweredAfter(pushed, ending) => self.answered(rules, number, start + pushed, ending),
            Begun::Pending => self.pending(payload.len()),
            Begun::PendingLast => {
                self.pending(payload.len());
                self.stop_beginning(Ending::Close);
            }
            Begun::Joined => self.in_flight_bytes += payload.len(),
        }
        // One that is answered later may have pushed.
        self.update_held(rules);
    }

    /// A request is answered later.
    fn pending(&mut self, request_bytes: usize) {
        self.next_request += 1;
        self.in_flight += 1;
        self.in_flight_bytes += request_bytes;
    }

    /// A request was answered at once; its reply is what the output has from `start` on.
    #[inline]
    fn answered(&mut self, rules: &Rules, number: u64, start: usize, ending: Ending) {
        self.next_request += 1;
        if !rules.ordered() || self.window.is_due(number) {
            self.window.left(1);
            self.go_on(ending);
        } else {
            let reply = self.output.tail().split_off(start);
            self.window.hold(number, reply, ending);
            self.stop_beginning(ending);
        }
    }

    fn may_begin(&self, rules: &Rules) -> bool {
        if self.in_flight == 0 && self.window.is_due(self.next_request) {
            // As it mostly is where requests are answered at once: no limit on their number is near.
            return !self.last_begun && !self.held;
        }
        !self.last_begun
            && self.in_flight < rules.concurrency
            // Replies that wait for their turn count too.
            && (!rules.ordered() || self.next_request - self.window.due() < rules.concurrency.into())
            && (self.in_flight_bytes < rules.config.max_frame_bytes || self.in_flight == 0)
            && !self.held
    }
}
