//! Owns the state of one connection: what was read and not begun, which requests run, which replies are due, why and
//! how it ends. It does no I/O and has no clock: the loop brings bytes, times and socket errors, and asks what the
//! connection wants. Knows nothing of sockets, threads or handlers.

mod deadlines;

use std::borrow::Cow;
use std::io::IoSlice;
use std::mem;
use std::sync::Arc;

use crate::config::{BACKLOG_READ_BYTES, Config, LINGER_BYTES, LINGER_MS, RATIONED_BYTES, READ_BUFFER_BYTES};
use crate::framing::{Framer, Next, Scan};
use crate::handler::{CloseReason, FrameEnd};
use crate::options::Order;
use crate::ordering::{Ending, Window};
use crate::output::Output;
use crate::push::Push;

/// What all connections of a server obey.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) config: Config,
    pub(crate) framer: Framer,
    /// Requests of one connection that may run at once. In SERIAL without workers that is one; with workers the run
    /// sees to it, and this is how many it may hold.
    pub(crate) concurrency: u32,
    /// The largest reply or push, in bytes.
    pub(crate) message_limit_bytes: usize,
}

impl Rules {
    pub(crate) fn new(config: Config) -> Self {
        let framer = Framer::new(&config);
        let inline_serial = config.order == Order::Serial && config.workers == 0;
        let concurrency = if inline_serial { 1 } else { config.max_in_flight };
        let message_limit_bytes = config.output_limit_bytes.min(framer.max_payload_bytes());
        Rules { config, framer, concurrency, message_limit_bytes }
    }

    /// Whether one request of a connection runs at a time.
    pub(crate) fn is_serial(&self) -> bool {
        self.config.order == Order::Serial
    }

    fn ordered(&self) -> bool {
        match self.config.order {
            Order::Serial | Order::Parallel => true,
            Order::Unordered => false,
        }
    }
}

/// What runs the requests of a connection.
pub(crate) trait Host {
    /// Custom framing: where the first frame of `bytes` ends.
    fn frame_end(&mut self, bytes: &[u8], seen: usize) -> FrameEnd;

    /// Whether one more request may begin. After a no there is none before [`Connection::resume`].
    fn has_room(&mut self) -> bool {
        true
    }

    /// Whether the others have to have their turn before one more request begins.
    fn turn_is_over(&mut self) -> bool {
        false
    }

    /// One request, the `number`th of the connection. Where it is answered at once the reply is appended to `output`.
    fn request(&mut self, number: u64, payload: &[u8], output: &mut Vec<u8>) -> Begun;
}

/// What became of a request that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It was answered; the reply, which may be empty, stands at the end of the output.
    Answered(Ending),
    /// As above, and before the reply stand so many bytes that were pushed meanwhile.
    AnsweredAfter(usize, Ending),
    /// It is answered later, by [`Connection::reply`].
    Pending,
    /// Its bytes joined a raw request that was given earlier and has not begun.
    Joined,
}

/// What the loop has to do for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Nothing beyond reading and writing.
    Open,
    /// All is sent: shut the write side, then close. With `linger` read on first, so that no reset erases the last
    /// reply: [`Connection::linger`].
    Finished {
        /// Whether the peer may still be sending.
        linger: bool,
    },
    /// Close the socket at once.
    Cut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Requests are read, or at least answered.
    Open,
    /// No further request begins and no further reply joins: what is in the output is sent.
    Ending,
    /// The write side is shut; what the peer still sends is thrown away.
    Lingering,
    /// Nothing is to be sent or read any more.
    Over,
}

/// What an ended connection leaves behind, for the report of a stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Abandoned {
    pub(crate) requests: u64,
    pub(crate) unsent_bytes: u64,
}

/// All there is to know of an open connection that does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AtRest {
    next_request: u64,
    active_ms: u64,
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Read and not begun: from `input_head` on, whole frames that must wait, then at most one partial frame.
    input: Vec<u8>,
    input_head: usize,
    scan: Scan,
    output: Output,
    window: Window,
    /// The number of the next request to begin.
    next_request: u64,
    /// Requests begun and not answered, and the bytes of them.
    in_flight: u32,
    in_flight_bytes: usize,
    phase: Phase,
    reason: Option<CloseReason>,
    os_error: i32,
    /// The peer's FIN was read.
    peer_finished: bool,
    /// No further bytes become requests.
    input_over: bool,
    /// A reply in the making is the last one: nothing later begins.
    last_begun: bool,
    /// A close by this side reads on after the last reply, so that no reset erases it.
    lingers: bool,
    /// There may be a whole frame in `input` which could not begin when it was looked at.
    stalled: bool,
    /// It is stalled because its host had no room.
    refused: bool,
    /// It is stalled because others are to have their turn.
    gives_way: bool,
    /// Output reached the high mark and has not come down to the low one.
    held: bool,
    /// Since when, in the loop's milliseconds: a frame is partial; output waits; all has been quiet.
    frame_since_ms: u64,
    write_since_ms: u64,
    active_ms: u64,
    /// Since when this side has kept it from reading.
    paused_since_ms: Option<u64>,
    /// In the phase Lingering: bytes thrown away.
    lingered_bytes: usize,
}

impl Connection {
    pub(crate) fn new(now_ms: u64) -> Self {
        Connection {
            input: Vec::new(),
            input_head: 0,
            scan: Scan::default(),
            output: Output::default(),
            window: Window::default(),
            next_request: 0,
            in_flight: 0,
            in_flight_bytes: 0,
            phase: Phase::Open,
            reason: None,
            os_error: 0,
            peer_finished: false,
            input_over: false,
            last_begun: false,
            lingers: true,
            stalled: false,
            refused: false,
            gives_way: false,
            held: false,
            frame_since_ms: now_ms,
            write_since_ms: now_ms,
            active_ms: now_ms,
            paused_since_ms: None,
            lingered_bytes: 0,
        }
    }

    /// The connection that was left at rest.
    pub(crate) fn awake(at_rest: AtRest) -> Self {
        let mut conn = Connection::new(at_rest.active_ms);
        conn.next_request = at_rest.next_request;
        conn.window.left(at_rest.next_request);
        conn
    }

    /// What is left of it at rest; `None` while it does anything.
    pub(crate) fn at_rest(&self) -> Option<AtRest> {
        self.rests().then_some(AtRest { next_request: self.next_request, active_ms: self.active_ms })
    }

    /// Whether it does nothing, and nothing but its peer can change that.
    pub(crate) fn rests(&self) -> bool {
        let open = self.phase == Phase::Open && self.reason.is_none() && !self.input_over;
        let waits = self.stalled || self.held || self.is_paused() || self.scan != Scan::default();
        open && !waits && self.is_idle() && self.window.is_empty()
    }

    // ---- Reading -----------------------------------------------------------------------------------------------

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
        self.in_flight == 0 && self.output.is_empty()
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
            Begun::Pending => {
                self.next_request += 1;
                self.in_flight += 1;
                self.in_flight_bytes += payload.len();
            }
            Begun::Joined => self.in_flight_bytes += payload.len(),
        }
        // One that is answered later may have pushed.
        self.update_held(rules);
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

    /// The bytes that follow are no request, and nothing after them is.
    fn refuse_input(&mut self, reason: CloseReason, len: usize) -> usize {
        self.input_over = true;
        self.reason = Some(reason);
        len
    }

    /// The input is over, and what is left of it is no whole frame.
    fn end_partial(&mut self) {
        if self.input.len() > self.input_head || self.scan != Scan::default() {
            if self.reason == Some(CloseReason::Peer) {
                self.reason = Some(CloseReason::ProtocolError);
            }
            self.input = Vec::new();
            self.input_head = 0;
            self.scan = Scan::default();
        }
    }

    // ---- Answering ---------------------------------------------------------------------------------------------

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
    fn begin_output(&mut self, now_ms: u64) {
        if self.phase == Phase::Open && self.output.is_empty() {
            self.write_since_ms = now_ms;
        }
    }

    /// What follows from how a reply ended, now that it has left.
    #[inline]
    fn go_on(&mut self, ending: Ending) {
        match ending {
            Ending::Continue => {}
            Ending::Close => self.end_with(CloseReason::Local),
            Ending::Failed => self.end_with(CloseReason::CallbackFailed),
            Ending::TooLarge => self.end_with(CloseReason::OutputLimit),
        }
    }

    /// What follows from how a reply ended that has yet to leave: nothing later begins.
    fn stop_beginning(&mut self, ending: Ending) {
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
    fn end_with(&mut self, reason: CloseReason) {
        if self.phase == Phase::Open {
            self.phase = Phase::Ending;
            self.input_over = true;
            self.reason = Some(reason);
            self.drop_input();
            self.window.clear();
        }
    }

    fn drop_input(&mut self) {
        self.input = Vec::new();
        self.input_head = 0;
        self.scan = Scan::default();
        self.stalled = false;
    }

    // ---- Writing -----------------------------------------------------------------------------------------------

    /// Lends a buffer for the replies of this turn.
    pub(crate) fn lend_output(&mut self, buffer: &mut Vec<u8>) {
        self.output.lend(buffer);
    }

    /// Takes it back; what is unsent stays with the connection. Gives away the buffer of a reply that was sent from it.
    pub(crate) fn take_back_output(&mut self, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
        self.output.take_back(buffer)
    }

    pub(crate) fn wants_write(&self) -> bool {
        !self.output.is_empty()
    }

    pub(crate) fn unsent_bytes(&self) -> usize {
        self.output.len()
    }

    /// The unsent bytes where one buffer holds them all.
    pub(crate) fn single_output(&self) -> Option<&[u8]> {
        self.output.single()
    }

    /// The first unsent bytes, as slices to gather into one call; says how many slices it filled.
    pub(crate) fn output<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.output.slices(slices)
    }

    /// The socket took the first `count` unsent bytes.
    pub(crate) fn wrote(&mut self, rules: &Rules, now_ms: u64, count: usize) {
        self.output.wrote(count);
        self.write_since_ms = now_ms;
        self.active_ms = now_ms;
        self.update_held(rules);
    }

    /// To be called whenever output or finished replies have become more or less.
    fn update_held(&mut self, rules: &Rules) {
        let due = self.due_bytes();
        let high = rules.config.output_high_bytes;
        // Equal marks are one: at it, requests wait.
        self.held = due >= high || (self.held && due > rules.config.output_low_bytes);
    }

    /// Output stands between the high mark and the low one: no request begins.
    pub(crate) fn is_held(&self) -> bool {
        self.held
    }

    // ---- Ending ------------------------------------------------------------------------------------------------

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
    pub(crate) fn cut(&mut self, reason: CloseReason, os_error: i32) -> Abandoned {
        if self.phase == Phase::Over {
            return Abandoned::default();
        }
        let requests = if self.phase == Phase::Open { u64::from(self.in_flight) } else { 0 };
        let abandoned = Abandoned { requests, unsent_bytes: self.output.len() as u64 };
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
        abandoned
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

    /// Whether it is quiet: nothing read and not answered, nothing to send.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.output.is_empty() && self.input.is_empty()
    }

    /// Whether all that is left is to wait for the peer's FIN.
    pub(crate) fn is_lingering(&self) -> bool {
        self.phase == Phase::Lingering
    }

    /// Why it ended, and the errno behind it.
    pub(crate) fn reason(&self) -> (CloseReason, i32) {
        (self.reason.unwrap_or(CloseReason::Local), self.os_error)
    }

    /// The number of the next request to begin.
    pub(crate) fn next_request(&self) -> u64 {
        self.next_request
    }

    /// Unsent output and finished replies, in bytes.
    pub(crate) fn due_bytes(&self) -> usize {
        self.output.len() + self.window.held_bytes()
    }

    /// Requests begun and not answered, those included whose answers nobody waits for any more.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    // ---- Memory ------------------------------------------------------------------------------------------------

    /// Buffered input, requests in flight, finished replies and unsent output, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.input.capacity() + self.in_flight_bytes + self.window.held_bytes() + self.output.memory_bytes()
    }
}

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
