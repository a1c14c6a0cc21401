//! What one connection should be like, told what its client sends, what its handler sees and answers, and which bytes
//! leave. It knows the promises and nothing of how they are kept: it sees the connection from outside alone.

use std::ops::Range;

use crate::conn_id::ConnId;
use crate::framing_properties::{Rest, naive, naive_payload};
use crate::handler::CloseReason;
use crate::options::{Framing, Order};
use crate::ordering::Ending;
use crate::simulation::net::Wire;
use crate::simulation::plan::Setup;

/// A request that has begun.
#[derive(Debug)]
pub(crate) struct Request {
    /// What leaves for it, framed, and how the connection goes on; `None` while it is in the making.
    pub(crate) reply: Option<(Vec<u8>, Ending)>,
    /// The loop knows of the reply.
    settled: bool,
    /// How its promise was kept, where its callback failed after that: the loop may hear of either first.
    pub(crate) kept: Option<Ending>,
    /// It was seen on the wire.
    sent: bool,
}

/// When the loop knows of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    /// At once.
    No,
    /// Once it has read its mail, which comes next.
    BeforeMail,
    /// With the mail after that.
    AfterMail,
}

/// A push, to one connection or to all.
#[derive(Debug)]
pub(crate) struct Push {
    pub(crate) to: Option<usize>,
    pub(crate) wire: Vec<u8>,
    /// The request in whose callback it was made.
    pub(crate) within: Option<(usize, u64)>,
    /// Whether that callback ran on the loop's thread.
    pub(crate) inline: bool,
    pub(crate) accepted: bool,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) number: usize,
    pub(crate) id: ConnId,
    pub(crate) opened_ms: Option<u64>,
    pub(crate) closed: Option<CloseReason>,
    /// The whole frames of its stream; raw bytes have none.
    frames: Vec<Range<usize>>,
    /// Bytes of raw requests so far.
    raw_begun: usize,
    pub(crate) requests: Vec<Request>,
    /// How many of them are in the making, and a place before which none is.
    open: usize,
    first_open: usize,
    /// Those that are answered, and the loop does not know yet.
    unsettled: Vec<usize>,
    /// As above, and it was posted after the loop had read its mail.
    unsettled_later: Vec<usize>,
    /// The loop knows of a reply that is the last.
    ended: bool,
    /// In order: the first whose reply has not left, unless it has none.
    due: usize,
    /// Bytes of settled replies.
    settled_bytes: usize,
    /// Bytes of replies that were seen on the wire.
    sent_bytes: usize,
    /// How much of what was sent was understood.
    parsed: usize,
    /// Pushes that were seen on the wire: the last by mail, the last made within a callback on the loop's thread; how many.
    last_mailed: Option<usize>,
    last_within: Option<usize>,
    pub(crate) pushes_seen: usize,
    pub(crate) pushes_due: usize,
    /// The reply that closes the connection was seen.
    over: bool,
    pub(crate) close_asked: bool,
    pub(crate) abort_asked: bool,
    /// The handler has refused it room, and has not said that there is some again.
    pub(crate) no_room: bool,
    /// When it was last in a state in which a time limit may stand still.
    pub(crate) busy_ms: u64,
    pub(crate) was_busy: bool,
}

/// In place of a request's number: the callback that opens the connection.
pub(crate) const OPENING: u64 = u64::MAX;

/// The head of each message: what it is, whose, which, how long.
pub(crate) const HEAD_BYTES: usize = 8;

/// The bytes of a message, recognisable wherever they turn up.
pub(crate) fn message(kind: u8, client: usize, number: usize, len: usize) -> Vec<u8> {
    let mut bytes = vec![kind, client as u8];
    bytes.extend((number as u16).to_be_bytes());
    bytes.extend((len as u32).to_be_bytes());
    bytes.extend((0..len).map(|place| (number as u8).wrapping_mul(31).wrapping_add(place as u8)));
    bytes
}

/// What the framing makes of a message on its way out, by definition.
pub(crate) fn on_the_wire(framing: &Framing, payload: &[u8]) -> Vec<u8> {
    match framing {
        Framing::Delimiter { delimiter, strip: true } => [payload, delimiter].concat(),
        Framing::LengthPrefix { width, big_endian, strip: true } => {
            let len = payload.len() as u64;
            let width = *width as usize;
            let head =
                if *big_endian { len.to_be_bytes()[8 - width..].to_vec() } else { len.to_le_bytes()[..width].to_vec() };
            [&head, payload].concat()
        }
        Framing::Raw
        | Framing::Delimiter { .. }
        | Framing::LengthPrefix { .. }
        | Framing::Fixed(_)
        | Framing::Custom => payload.to_vec(),
    }
}

/// Where the head of a message stands on the wire.
fn head_at(framing: &Framing) -> usize {
    if let Framing::LengthPrefix { width, strip: true, .. } = framing { *width as usize } else { 0 }
}

/// Whether a promise was broken, and which.
type Checked = Result<(), String>;

macro_rules! promise {
    ($holds:expr, $($story:tt)*) => {
        if !$holds {
            return Err(format!($($story)*));
        }
    };
}

impl Client {
    pub(crate) fn new(number: usize, setup: &Setup, stream: &[u8]) -> Client {
        Client {
            number,
            id: ConnId::NONE,
            opened_ms: None,
            closed: None,
            frames: naive(&setup.framing, setup.max_frame_bytes, stream).0,
            raw_begun: 0,
            requests: Vec::new(),
            open: 0,
            first_open: 0,
            unsettled: Vec::new(),
            unsettled_later: Vec::new(),
            ended: false,
            due: 0,
            settled_bytes: 0,
            sent_bytes: 0,
            parsed: 0,
            last_mailed: None,
            last_within: None,
            pushes_seen: 0,
            pushes_due: 0,
            over: false,
            close_asked: false,
            abort_asked: false,
            no_room: false,
            busy_ms: 0,
            was_busy: false,
        }
    }

    // ---- What the handler sees ---------------------------------------------------------------------------------

    /// A request begins.
    pub(crate) fn begin(&mut self, setup: &Setup, wire: &Wire, number: u64, payload: &[u8]) -> Checked {
        let who = self.number;
        promise!(self.closed.is_none() && !wire.closed, "a request of client {who} begins after its end");
        promise!(number == self.requests.len() as u64, "request {number} of client {who} begins out of order");
        if setup.framing == Framing::Raw {
            let end = self.raw_begun + payload.len();
            promise!(!payload.is_empty(), "an empty request of client {who}");
            promise!(payload.len() <= setup.max_frame_bytes, "a request of client {who} is too long");
            promise!(end <= wire.taken, "a request of client {who} has bytes that it did not send");
            promise!(*payload == wire.stream[self.raw_begun..end], "a request of client {who} has foreign bytes");
            self.raw_begun = end;
        } else {
            let frame = self.frames.get(self.requests.len()).filter(|frame| frame.end <= wire.taken);
            let Some(frame) = frame.cloned() else {
                return Err(format!("request {number} of client {who} begins, and it sent none: {payload:?}"));
            };
            let expected = naive_payload(&setup.framing, &wire.stream[frame]);
            promise!(payload == expected, "request {number} of client {who} is {payload:?}, not {expected:?}");
        }
        let inline = setup.workers == 0;
        let open = self.open;
        promise!(
            setup.order != Order::Serial || open == 0,
            "SERIAL: request {number} of client {who} begins beside another"
        );
        promise!(open < setup.max_in_flight as usize, "client {who} has more than max_in_flight requests");
        while self.requests.get(self.first_open).is_some_and(|request| request.reply.is_some()) {
            self.first_open += 1;
        }
        if setup.order != Order::Unordered {
            promise!(
                self.requests.len() - self.first_open < setup.max_in_flight as usize,
                "client {who}: more than max_in_flight replies wait for their turn"
            );
        }
        let due = self.settled_bytes.saturating_sub(wire.sent.len());
        promise!(
            due < setup.high_bytes,
            "request {number} of client {who} begins with {due} bytes due: the high mark is {}",
            setup.high_bytes
        );
        if inline || setup.order == Order::Serial {
            promise!(!self.ended, "request {number} of client {who} begins after the last reply");
        }
        self.requests.push(Request { reply: None, settled: false, kept: None, sent: false });
        self.open += 1;
        Ok(())
    }

    /// A request is answered.
    pub(crate) fn answer(&mut self, number: u64, wire: Vec<u8>, ending: Ending, late: Late) {
        let Some(request) = self.requests.get_mut(number as usize) else { return };
        self.open -= usize::from(request.reply.is_none());
        request.reply = Some((wire, ending));
        match late {
            Late::No => self.settle(number as usize),
            Late::BeforeMail => self.unsettled.push(number as usize),
            Late::AfterMail => self.unsettled_later.push(number as usize),
        }
    }

    fn settle(&mut self, number: usize) {
        let request = &mut self.requests[number];
        if let Some((_, ending)) = &request.reply {
            self.ended |= *ending != Ending::Continue;
        }
        if let Some((wire, _)) = &request.reply
            && !std::mem::replace(&mut request.settled, true)
        {
            self.settled_bytes += wire.len();
        }
    }

    /// The loop has read its mail.
    pub(crate) fn settle_all(&mut self) {
        let later = std::mem::take(&mut self.unsettled_later);
        for number in std::mem::replace(&mut self.unsettled, later) {
            self.settle(number);
        }
    }

    // ---- What leaves -------------------------------------------------------------------------------------------

    /// Understands what was sent since.
    pub(crate) fn read_wire(&mut self, setup: &Setup, wire: &Wire, pushes: &[Push]) -> Checked {
        let who = self.number;
        loop {
            let rest = &wire.sent[self.parsed..];
            let Some(head) = rest.get(head_at(&setup.framing)..).and_then(|rest| rest.get(..HEAD_BYTES)) else {
                return Ok(());
            };
            let number = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let at = self.parsed;
            let expected = match head[0] {
                b'R' => {
                    promise!(usize::from(head[1]) == who, "client {who} is sent a reply of client {}", head[1]);
                    let request = self.requests.get(number);
                    let Some((expected, _)) = request.and_then(|request| request.reply.as_ref()) else {
                        return Err(format!("client {who} is sent a reply {number} that nobody gave"));
                    };
                    expected
                }
                b'P' => {
                    let Some(push) = pushes.get(number) else {
                        return Err(format!("client {who} is sent push {number} that nobody made"));
                    };
                    &push.wire
                }
                other => return Err(format!("client {who} is sent {other} at byte {at}, which begins no message")),
            };
            let seen = rest.len().min(expected.len());
            promise!(
                rest[..seen] == expected[..seen],
                "client {who} is sent other bytes than the message from {at} on"
            );
            if seen < expected.len() {
                return Ok(());
            }
            self.parsed += expected.len();
            match head[0] {
                b'R' => self.reply_sent(setup, number)?,
                _ => self.push_sent(setup, number, pushes)?,
            }
        }
    }

    fn reply_sent(&mut self, setup: &Setup, number: usize) -> Checked {
        let who = self.number;
        promise!(!self.over, "client {who} is sent reply {number} after the one that closes");
        promise!(!self.requests[number].sent, "client {who} is sent reply {number} twice");
        self.requests[number].sent = true;
        self.sent_bytes += self.requests[number].reply.as_ref().map_or(0, |(wire, _)| wire.len());
        if setup.order != Order::Unordered {
            promise!(self.due <= number, "client {who} is sent reply {number} after a later one");
            for (before, request) in self.requests[..number].iter().enumerate().skip(self.due) {
                // A promise that was kept is the answer, until the loop hears that the callback failed after all.
                let goes_on = |ending: &Ending| request.kept.as_ref().unwrap_or(ending) == &Ending::Continue;
                let silent = matches!(&request.reply, Some((wire, ending)) if wire.is_empty() && goes_on(ending));
                promise!(silent, "client {who} is sent reply {number} before reply {before}");
            }
            self.due = number + 1;
        }
        // Of a callback that fails once its promise was kept the loop may hear later.
        self.over = matches!(&self.requests[number].reply, Some((_, Ending::Close)));
        Ok(())
    }

    fn push_sent(&mut self, setup: &Setup, number: usize, pushes: &[Push]) -> Checked {
        let who = self.number;
        let push = &pushes[number];
        promise!(!self.over, "client {who} is sent push {number} after the reply that closes");
        promise!(push.accepted, "client {who} is sent push {number}, which was refused");
        promise!(push.to.is_none_or(|to| to == who), "client {who} is sent push {number} to another");
        let within = push.within.filter(|(client, _)| *client == who);
        let own = within.is_some() && push.inline;
        if own && push.to.is_none() {
            return Ok(());
        }
        let last = if own { &mut self.last_within } else { &mut self.last_mailed };
        promise!(last.is_none_or(|last| last < number), "client {who} is sent push {number} after push {last:?}");
        *last = Some(number);
        // A broadcast for which memory has run out between its two halves comes by mail to its own connection too.
        if let Some((_, request)) = within.filter(|(_, request)| push.to.is_some() && *request != OPENING) {
            let request = request as usize;
            promise!(!self.requests[request].sent, "push {number} leaves after the reply that it was made in");
            if setup.order == Order::Serial {
                let due =
                    |request: &Request| !request.sent && matches!(&request.reply, Some((wire, _)) if !wire.is_empty());
                promise!(
                    !self.requests[..request].iter().skip(self.due).any(due),
                    "client {who} is sent push {number} before a reply that was finished earlier"
                );
            }
        }
        self.pushes_seen += usize::from(push.to.is_some());
        Ok(())
    }

    // ---- The end -----------------------------------------------------------------------------------------------

    /// Whether each request is answered, and each answer sent in full.
    pub(crate) fn check_all_sent(&self, wire: &Wire) -> Checked {
        let who = self.number;
        for (number, request) in self.requests.iter().enumerate() {
            let Some((reply, _)) = &request.reply else {
                return Err(format!("request {number} of client {who} was never answered"));
            };
            promise!(request.sent || reply.is_empty(), "the reply to request {number} of client {who} was not sent");
        }
        promise!(self.parsed == wire.sent.len(), "client {who} was sent a part of a message");
        Ok(())
    }

    /// Whether each whole frame of the first `read` bytes has begun.
    pub(crate) fn check_all_begun(&self, setup: &Setup, read: usize) -> Checked {
        let who = self.number;
        if setup.framing == Framing::Raw {
            promise!(self.raw_begun == read, "{} of {read} bytes of client {who} became requests", self.raw_begun);
            return Ok(());
        }
        let whole = self.frames.partition_point(|frame| frame.end <= read);
        let begun = self.requests.len();
        promise!(begun == whole, "{begun} of {whole} requests of client {who} were begun");
        Ok(())
    }

    /// What follows the whole frames of the first `read` bytes: whether there is anything, and what.
    fn rest(&self, setup: &Setup, wire: &Wire, read: usize) -> (bool, Rest) {
        if setup.framing == Framing::Raw {
            return (false, Rest::Partial);
        }
        let (frames, rest) = naive(&setup.framing, setup.max_frame_bytes, &wire.stream[..read]);
        (frames.last().map_or(0, |frame| frame.end) < read, rest)
    }

    /// The first reply, in the order in which they leave, after which the connection is closed; where promises that were kept
    /// before their callbacks failed are the answers, or are not.
    fn last(&self, promises_hold: bool) -> Option<(usize, Ending)> {
        let ending = |(number, request): (usize, &Request)| {
            let (_, ending) = request.reply.as_ref()?;
            let ending = request.kept.filter(|_| promises_hold).unwrap_or(*ending);
            (ending != Ending::Continue).then_some((number, ending))
        };
        self.requests.iter().enumerate().find_map(ending)
    }

    /// When the partial frame at the end of what was read began to be read.
    pub(crate) fn partial_since_ms(&self, setup: &Setup, wire: &Wire) -> Option<u64> {
        if setup.framing == Framing::Raw {
            return None;
        }
        let whole = self.frames.partition_point(|frame| frame.end <= wire.taken);
        let begin = if whole == 0 { 0 } else { self.frames[whole - 1].end };
        let first = wire.reads.get(wire.reads.partition_point(|(end, _)| *end <= begin))?;
        (begin < wire.taken).then_some(first.1)
    }

    /// The last byte either way.
    pub(crate) fn active_ms(&self, wire: &Wire) -> u64 {
        let read_ms = wire.reads.last().map_or(0, |(_, at_ms)| *at_ms);
        read_ms.max(wire.took_ms).max(self.opened_ms.unwrap_or(0))
    }

    /// The handler is told that it has ended.
    pub(crate) fn end(
        &mut self,
        setup: &Setup,
        wire: &Wire,
        reason: CloseReason,
        now_ms: u64,
        stop_ms: Option<u64>,
    ) -> Checked {
        let who = self.number;
        promise!(self.opened_ms.is_some(), "client {who} is closed before it is opened");
        promise!(self.closed.is_none(), "client {who} is closed twice");
        promise!(wire.closed, "client {who} is told closed, and its socket is open");
        self.closed = Some(reason);
        let over = |limit_ms: u32, since_ms: u64| limit_ms > 0 && now_ms >= since_ms + u64::from(limit_ms);
        let [frame_ms, write_ms, idle_ms] = setup.timeouts_ms;
        let read = wire.read_open;
        let graceful = self.check_all_sent(wire).and_then(|()| self.check_all_begun(setup, read));
        let (partial, rest) = self.rest(setup, wire, read);
        match reason {
            CloseReason::Reset => {
                promise!(wire.reset || wire.failed, "client {who} ends with Reset, and there was none");
                Ok(())
            }
            CloseReason::IdleTimeout => {
                promise!(over(idle_ms, self.active_ms(wire)), "client {who} was not idle for {idle_ms} ms");
                Ok(())
            }
            CloseReason::FrameTimeout => {
                let since_ms = self.partial_since_ms(setup, wire);
                promise!(
                    since_ms.is_some_and(|since_ms| over(frame_ms, since_ms)),
                    "no frame of client {who} took {frame_ms} ms"
                );
                Ok(())
            }
            CloseReason::WriteTimeout => {
                promise!(over(write_ms, wire.took_ms), "client {who} took bytes within the {write_ms} ms");
                Ok(())
            }
            CloseReason::Shutdown => {
                let Some(stop_ms) = stop_ms else {
                    return Err(format!("client {who} ends with Shutdown, and there was no stop"));
                };
                if now_ms < stop_ms { graceful } else { Ok(()) }
            }
            CloseReason::Peer => {
                promise!(wire.fin_read && !partial, "client {who} ends with Peer, and it had not finished");
                graceful
            }
            CloseReason::ProtocolError => {
                let cause = rest == Rest::Refused || partial && wire.fin_read;
                promise!(cause, "client {who} kept to the protocol");
                graceful
            }
            CloseReason::FrameTooLarge => {
                promise!(rest == Rest::TooLarge, "no frame of client {who} is too large");
                graceful
            }
            CloseReason::Local if self.abort_asked => Ok(()),
            CloseReason::Local if self.closes(setup) => self.check_last(setup, wire, true),
            CloseReason::Local => {
                promise!(self.close_asked, "client {who} ends with Local, and nobody closed it");
                graceful
            }
            CloseReason::CallbackFailed => {
                promise!(self.has_ending(Ending::Failed), "no callback of client {who} failed");
                self.check_last(setup, wire, false)
            }
            CloseReason::OutputLimit => {
                promise!(self.has_ending(Ending::TooLarge), "no reply of client {who} was too large");
                self.check_last(setup, wire, false)
            }
        }
    }

    /// Whether the reply that ends it closes it as the handler wants.
    fn closes(&self, setup: &Setup) -> bool {
        match setup.order {
            Order::Serial | Order::Parallel => matches!(self.last(true), Some((_, Ending::Close))),
            Order::Unordered => self.has_ending(Ending::Close),
        }
    }

    fn has_ending(&self, ending: Ending) -> bool {
        let doubtful = |request: &Request| request.kept.is_some() && ending == Ending::Failed;
        let ends = |request: &Request| matches!(&request.reply, Some((_, how)) if *how == ending);
        self.requests.iter().any(|request| ends(request) || doubtful(request))
    }

    /// A reply has closed it: those up to it were sent.
    fn check_last(&self, setup: &Setup, wire: &Wire, promises_hold: bool) -> Checked {
        let who = self.number;
        promise!(self.parsed == wire.sent.len(), "client {who} was sent a part of a message");
        let Some((last, _)) = self.last(promises_hold).filter(|_| setup.order != Order::Unordered) else {
            return Ok(());
        };
        for (number, request) in self.requests[..=last].iter().enumerate() {
            let silent = matches!(&request.reply, Some((wire, how)) if wire.is_empty() || *how == Ending::Failed);
            promise!(
                request.sent || silent || request.kept.is_some(),
                "the reply to request {number} of client {who}, due before the close, was not sent"
            );
        }
        Ok(())
    }

    /// Whether a time limit passed while nothing could make it stand still, and it is still there.
    pub(crate) fn check_time(&self, setup: &Setup, wire: &Wire, now_ms: u64) -> Checked {
        let who = self.number;
        let [frame_ms, write_ms, idle_ms] = setup.timeouts_ms.map(u64::from);
        let stands_since = |since_ms: u64| since_ms.max(self.busy_ms);
        if write_ms > 0 && wire.starved && wire.room == 0 && !wire.write_shut {
            let since_ms = wire.took_ms.max(wire.starved_ms);
            promise!(now_ms < since_ms + write_ms, "client {who} has taken nothing for {write_ms} ms, and lives");
        }
        if wire.write_shut || self.close_asked || wire.fin_read {
            return Ok(());
        }
        if frame_ms > 0
            && let Some(since_ms) = self.partial_since_ms(setup, wire)
        {
            promise!(
                now_ms < stands_since(since_ms) + frame_ms,
                "client {who}: a frame took {frame_ms} ms, and it lives"
            );
        }
        if idle_ms > 0 {
            let since_ms = stands_since(self.active_ms(wire));
            promise!(now_ms < since_ms + idle_ms, "client {who} was idle for {idle_ms} ms, and lives");
        }
        Ok(())
    }

    /// Whether something may make its time limits of input stand still: work, output, or bytes that wait to be read.
    pub(crate) fn is_busy(&self, setup: &Setup, wire: &Wire) -> bool {
        if wire.starved || self.check_all_begun(setup, wire.taken).is_err() {
            return true;
        }
        self.open > 0
            || !self.unsettled.is_empty()
            || !self.unsettled_later.is_empty()
            || self.settled_bytes > self.sent_bytes
            || wire.arrived > wire.taken
            || self.pushes_due > self.pushes_seen
            || self.no_room
    }
}
