//! What a connection should be like, told what happens to it: which request comes next, which bytes leave and in what
//! order, how it ends. It checks each step and is asked at the end. Knows nothing of how a connection does any of it.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::connection::{Answer, Connection, Rules};
use crate::framing_properties::{Rest, naive, naive_payload};
use crate::handler::CloseReason;
use crate::options::{Framing, Order};
use crate::ordering::Ending;

#[derive(Debug)]
pub(crate) struct Model {
    framing: Framing,
    ordered: bool,
    concurrency: u32,
    max_frame_bytes: usize,
    low_bytes: usize,
    high_bytes: usize,
    /// All that the peer will ever send, and how much of it was read.
    stream: Vec<u8>,
    pub(crate) read: usize,
    /// The whole frames of the stream; raw bytes have none.
    frames: Vec<Range<usize>>,
    /// Bytes of raw requests so far.
    raw_bytes: usize,
    /// The payloads of the requests that were begun.
    pub(crate) requests: Vec<Vec<u8>>,
    /// Those of them that are not answered, and the bytes of each.
    pub(crate) open: BTreeMap<u64, usize>,
    /// The request whose reply leaves next, and replies that wait for theirs to come.
    due: u64,
    waiting: BTreeMap<u64, (Vec<u8>, Ending)>,
    /// All that was to leave so far, and how much of it has.
    expected: Vec<u8>,
    sent: usize,
    held: bool,
    last_begun: bool,
    /// The ending of the reply that was the last.
    pub(crate) ended: Option<Ending>,
    /// Why somebody closed it.
    pub(crate) closed: Option<CloseReason>,
    pub(crate) fin_read: bool,
    /// All was sent, and it waits for its peer's FIN.
    pub(crate) lingers: bool,
    /// It was cut: nothing of what it had matters.
    pub(crate) cut: Option<CloseReason>,
}

impl Model {
    pub(crate) fn new(rules: &Rules, stream: Vec<u8>) -> Self {
        let config = &rules.config;
        Model {
            framing: config.framing.clone(),
            ordered: config.order != Order::Unordered,
            concurrency: rules.concurrency,
            max_frame_bytes: config.max_frame_bytes,
            low_bytes: config.output_low_bytes,
            high_bytes: config.output_high_bytes,
            read: 0,
            frames: naive(&config.framing, config.max_frame_bytes, &stream).0,
            stream,
            raw_bytes: 0,
            requests: Vec::new(),
            open: BTreeMap::new(),
            due: 0,
            waiting: BTreeMap::new(),
            expected: Vec::new(),
            sent: 0,
            held: false,
            last_begun: false,
            ended: None,
            closed: None,
            fin_read: false,
            lingers: false,
            cut: None,
        }
    }

    fn is_over(&self) -> bool {
        self.ended.is_some() || self.lingers || self.cut.is_some()
    }

    pub(crate) fn due_bytes(&self) -> usize {
        self.expected.len() - self.sent + self.waiting.values().map(|(bytes, _)| bytes.len()).sum::<usize>()
    }

    pub(crate) fn open_bytes(&self) -> usize {
        self.open.values().sum()
    }

    /// Between the high mark and the low one.
    fn update_held(&mut self) {
        let due = self.due_bytes();
        self.held = due >= self.high_bytes || self.held && due > self.low_bytes;
    }

    // ---- What happens ----------------------------------------------------------------------------------------------

    /// A request begins; what becomes of it is told next.
    pub(crate) fn begin(&mut self, number: u64, payload: &[u8]) {
        assert_eq!(number, self.requests.len() as u64, "requests are counted from 0 without gaps");
        self.join(payload);
    }

    /// Bytes become a request, or a part of one.
    pub(crate) fn join(&mut self, payload: &[u8]) {
        let number = self.requests.len() as u64;
        assert!(!self.is_over() && !self.last_begun, "nothing begins after the last reply");
        assert!(!self.held, "no request begins from the high mark down to the low one");
        assert!((self.open.len() as u64) < self.concurrency.into(), "too many in flight");
        assert!(!self.ordered || number - self.due < self.concurrency.into(), "too many replies wait for their turn");
        assert!(self.open.is_empty() || self.open_bytes() < self.max_frame_bytes, "too many bytes in flight");
        if self.framing == Framing::Raw {
            assert!(!payload.is_empty() && payload.len() <= self.max_frame_bytes);
            let end = self.raw_bytes + payload.len();
            assert_eq!(payload, &self.stream[self.raw_bytes..end]);
            self.raw_bytes = end;
        } else {
            let frame = self.frames[self.requests.len()].clone();
            assert!(frame.end <= self.read);
            assert_eq!(payload, naive_payload(&self.framing, &self.stream[frame]), "request {number}");
        }
    }

    /// The request that begins is answered later, or joined the one before it.
    pub(crate) fn later(&mut self, payload: &[u8], joined: bool) {
        if joined {
            let last = self.requests.last_mut().expect("there is one to join");
            last.extend_from_slice(payload);
            assert!(last.len() <= self.max_frame_bytes, "raw bytes that join have a limit");
            *self.open.get_mut(&(self.requests.len() as u64 - 1)).expect("it has not begun") += payload.len();
        } else {
            self.open.insert(self.requests.len() as u64, payload.len());
            self.requests.push(payload.to_vec());
        }
    }

    /// The request that begins is answered at once; `pushed` leaves before its reply.
    pub(crate) fn at_once(&mut self, payload: &[u8], pushed: &[u8], reply: &[u8], ending: Ending) {
        let number = self.requests.len() as u64;
        self.requests.push(payload.to_vec());
        self.expected.extend_from_slice(pushed);
        self.finished(number, 1, reply.to_vec(), ending);
    }

    /// What [`Connection::reply`] is given.
    pub(crate) fn reply(&mut self, answer: &Answer) {
        if self.is_over() {
            return;
        }
        let (first, count) = (answer.first, u64::from(answer.count));
        if self.ordered && !self.open.contains_key(&first) {
            if answer.ending != Ending::Failed {
                // A callback failed, and then its promise was kept.
                let failed = self.waiting.get(&first).is_some_and(|(_, ending)| *ending == Ending::Failed);
                assert!(failed, "request {first} is answered twice");
                return;
            }
            // A promise was kept, and then its callback failed.
            self.last_begun = true;
            if first < self.due {
                self.end(Ending::Failed);
            } else {
                self.waiting.insert(first, (Vec::new(), Ending::Failed));
            }
            return;
        }
        for number in first..first + count {
            let kept_before = answer.ending == Ending::Failed && number == first + count - 1;
            assert!(self.open.remove(&number).is_some() || kept_before, "request {number} is answered twice");
            self.waiting.remove(&number);
        }
        self.finished(first, count, answer.bytes.clone(), answer.ending);
    }

    fn finished(&mut self, first: u64, count: u64, bytes: Vec<u8>, ending: Ending) {
        if !self.ordered {
            self.expected.extend(bytes);
            self.go_on(ending);
        } else if first == self.due {
            self.expected.extend(bytes);
            self.due += count;
            self.go_on(ending);
            while let Some((bytes, ending)) = self.waiting.remove(&self.due) {
                self.expected.extend(bytes);
                self.due += 1;
                self.go_on(ending);
            }
        } else {
            self.last_begun |= ending != Ending::Continue;
            self.waiting.insert(first, (bytes, ending));
        }
        self.update_held();
    }

    fn go_on(&mut self, ending: Ending) {
        if ending != Ending::Continue {
            self.end(ending);
        }
    }

    fn end(&mut self, ending: Ending) {
        self.ended = Some(ending);
        self.waiting.clear();
        self.open.clear();
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if !self.is_over() {
            self.expected.extend_from_slice(bytes);
            self.update_held();
        }
    }

    pub(crate) fn wrote(&mut self, bytes: &[u8]) {
        let end = self.sent + bytes.len();
        assert!(end <= self.expected.len(), "more was sent than is due");
        assert!(self.expected[self.sent..end] == *bytes, "what is sent is not what is due, from byte {}", self.sent);
        self.sent = end;
        self.update_held();
    }

    // ---- What is so ------------------------------------------------------------------------------------------------

    /// After each step.
    pub(crate) fn check(&self, conn: &Connection) {
        if self.cut.is_some() {
            return;
        }
        assert_eq!(conn.unsent_bytes(), self.expected.len() - self.sent);
        assert_eq!(conn.due_bytes(), self.due_bytes());
        assert_eq!(conn.next_request(), self.requests.len() as u64);
        if self.ended.is_none() {
            assert_eq!(conn.in_flight() as usize, self.open.len());
            assert_eq!(conn.is_held(), self.held);
            assert!(conn.memory_bytes() >= self.due_bytes() - self.shared_bytes(conn) + self.open_bytes());
        }
    }

    /// At most so many of the bytes due are shared with other connections, and count there.
    fn shared_bytes(&self, conn: &Connection) -> usize {
        if conn.single_output().is_some() { 0 } else { conn.unsent_bytes() }
    }

    /// Of what was read: whether all of it that is whole frames was begun and answered, and every byte due was sent.
    pub(crate) fn check_all_answered(&self) {
        assert!(self.open.is_empty() && self.waiting.is_empty());
        assert_eq!(self.sent, self.expected.len());
        assert!(self.has_begun_all(), "each whole frame that was read was begun");
    }

    fn has_begun_all(&self) -> bool {
        if self.framing == Framing::Raw {
            return self.raw_bytes == self.read;
        }
        self.requests.len() == self.frames.iter().filter(|frame| frame.end <= self.read).count()
    }

    /// Whether a partial frame stands at the end of what was read, or worse.
    pub(crate) fn rest(&self) -> (bool, Rest) {
        if self.framing == Framing::Raw {
            return (false, Rest::Partial);
        }
        let (frames, rest) = naive(&self.framing, self.max_frame_bytes, &self.stream[..self.read]);
        (frames.last().map_or(0, |frame| frame.end) < self.read, rest)
    }

    /// It has ended, with this reason.
    pub(crate) fn check_end(&self, reason: CloseReason) {
        if let Some(cut) = self.cut {
            assert_eq!(reason, cut);
            return;
        }
        assert_eq!(self.sent, self.expected.len(), "what is due is sent before the end");
        match self.ended {
            Some(Ending::Close) => return assert_eq!(reason, CloseReason::Local),
            Some(Ending::Failed) => return assert_eq!(reason, CloseReason::CallbackFailed),
            Some(Ending::TooLarge) => return assert_eq!(reason, CloseReason::OutputLimit),
            Some(Ending::Continue) | None => {}
        }
        self.check_all_answered();
        let (partial, rest) = self.rest();
        let by_peer = match rest {
            Rest::TooLarge => Some(CloseReason::FrameTooLarge),
            Rest::Refused => Some(CloseReason::ProtocolError),
            Rest::Partial if partial && self.fin_read => Some(CloseReason::ProtocolError),
            Rest::Partial if self.fin_read => Some(CloseReason::Peer),
            Rest::Partial => None,
        };
        assert!(by_peer.is_some() || self.closed.is_some(), "it ended by itself: {reason:?}");
        assert!([by_peer, self.closed].contains(&Some(reason)), "{reason:?}, not {by_peer:?} or {:?}", self.closed);
    }

    /// Whether it does nothing and has nothing.
    pub(crate) fn is_idle(&self) -> bool {
        let waits = !self.open.is_empty() || self.due_bytes() > 0 || self.ended.is_some() || self.cut.is_some();
        !waits && self.has_begun_all() && !self.rest().0
    }
}
