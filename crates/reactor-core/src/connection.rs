//! Owns the state of one connection: what was read and not begun, which requests run, which replies are due, why and
//! how it ends. It does no I/O and has no clock: the loop brings bytes, times and socket errors, and asks what the
//! connection wants. Knows nothing of sockets, threads or handlers.

mod answering;
mod deadlines;
mod ending;
mod reading;

use std::io::IoSlice;

use crate::config::{Config, MAX_MESSAGE_BYTES};
pub(crate) use crate::connection::answering::Answer;
use crate::framing::{Framer, Scan};
use crate::handler::{CloseReason, FrameEnd};
use crate::options::Order;
use crate::ordering::{Ending, Window};
use crate::output::Output;

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
        let message_limit_bytes = config.output_limit_bytes.min(framer.max_payload_bytes()).min(MAX_MESSAGE_BYTES);
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
    /// As above, and that answer closes the connection: nothing later begins.
    PendingLast,
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
    /// In the phase Over: what was lost.
    abandoned: Abandoned,
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
            abandoned: Abandoned::default(),
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

    // ---- Memory ------------------------------------------------------------------------------------------------

    /// Buffered input, requests in flight, finished replies and unsent output, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.input.capacity() + self.in_flight_bytes + self.output_memory_bytes()
    }

    /// What of it are finished replies and unsent output.
    pub(crate) fn output_memory_bytes(&self) -> usize {
        self.window.held_bytes() + self.output.memory_bytes()
    }
}
