//! Owns the two ways to run a request: at once on the loop's thread, or by a worker. Knows nothing of sockets.

use std::mem;
use std::sync::Arc;
use std::time::Instant;

use crate::call::{self, Outcome, Request};
use crate::config::{SAMPLED, TURN_CLOCK_REQUESTS, TURN_MS, TURN_REQUESTS};
use crate::conn_id::ConnId;
use crate::connection::{Begun, Host};
use crate::handler::{FrameEnd, Handler};
use crate::requests::Requests;
use crate::run::{Run, Schedule};
use crate::scene;
use crate::shared::{LoopShared, Shared};

/// Runs requests at once.
pub(crate) struct Inline<'a, H: Handler> {
    pub(crate) handler: &'a H,
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) reactor: &'a LoopShared,
    pub(crate) conn: ConnId,
    pub(crate) data: &'a H::Data,
    /// Connections that the handler had no room for.
    pub(crate) refused: &'a mut Vec<ConnId>,
    /// When the loop woke up.
    pub(crate) turn_began: Instant,
    /// What the loop knows of the time, in its milliseconds: this turn began then or later.
    pub(crate) clock_ms: &'a mut u64,
    pub(crate) in_turn: &'a mut InTurn,
    /// Unsent output, as others were told last, in bytes.
    pub(crate) told_unsent_bytes: &'a mut usize,
}

/// What the requests of one turn of a connection have taken.
#[derive(Debug, Default)]
pub(crate) struct InTurn {
    /// When they began, once the clock was looked at.
    began_ms: Option<u64>,
    begun: u32,
}

impl<H: Handler> Inline<'_, H> {
    /// Whether the turn has taken its time.
    fn is_late(&mut self) -> bool {
        let before_ms = mem::replace(self.clock_ms, self.shared.stop.now_ms());
        *self.clock_ms >= *self.in_turn.began_ms.get_or_insert(before_ms) + TURN_MS
    }

    /// What a callback pushed to its own connection leaves before its reply, which begins at `start`.
    fn insert_pushes(&mut self, output: &mut Vec<u8>, start: usize) -> usize {
        let mut at = start;
        for push in scene::take_pushes() {
            output.splice(at..at, push.iter().copied());
            at += push.len();
        }
        let pushed = at - start;
        if pushed > 0 {
            // At once, so that the next request of the turn finds it against the limit.
            self.reactor.slots.with(self.conn, |known| {
                known.mailed_bytes = known.mailed_bytes.saturating_sub(pushed);
                known.unsent_bytes += pushed;
            });
            *self.told_unsent_bytes += pushed;
        }
        pushed
    }
}

impl<H: Handler> Host for Inline<'_, H> {
    fn turn_is_over(&mut self) -> bool {
        self.in_turn.begun += 1;
        let begun = self.in_turn.begun;
        begun >= TURN_REQUESTS || (begun.is_multiple_of(TURN_CLOCK_REQUESTS) && self.is_late())
    }

    fn frame_end(&mut self, bytes: &[u8], seen: usize) -> FrameEnd {
        frame_end(self.handler, self.reactor, self.conn, self.data, bytes, seen)
    }

    fn has_room(&mut self) -> bool {
        has_room(self.handler, self.conn, self.data, self.refused)
    }

    fn request(&mut self, number: u64, payload: &[u8], output: &mut Vec<u8>) -> Begun {
        let stats = &self.reactor.stats;
        stats.in_flight.add(1);
        stats.requests.add(1);
        let request = Request { conn: self.conn, data: self.data, number, payload };
        let start = output.len();
        let sampled = stats.requests.get() % SAMPLED == 1;
        let began = sampled.then(Instant::now);
        let (outcome, pushed) = call::process(self.handler, self.shared, &self.reactor.progress, &request, output);
        if let Some(began) = began {
            stats.sample(began.saturating_duration_since(self.turn_began), began.elapsed());
        }
        let pushed = if pushed { self.insert_pushes(output, start) } else { 0 };
        let ending = match outcome {
            Outcome::Answered(ending) => ending,
            Outcome::Deferred { last: false } => return Begun::Pending,
            Outcome::Deferred { last: true } => return Begun::PendingLast,
        };
        stats.in_flight.sub(1);
        self.reactor.count_answers(1, ending, &self.shared.stop);
        if pushed == 0 { Begun::Answered(ending) } else { Begun::AnsweredAfter(pushed, ending) }
    }
}

/// Collects requests for the workers.
pub(crate) struct Pooled<'a, H: Handler> {
    pub(crate) handler: &'a H,
    pub(crate) reactor: &'a LoopShared,
    pub(crate) conn: ConnId,
    pub(crate) data: &'a H::Data,
    pub(crate) run: &'a Arc<Run<H::Data>>,
    /// Connections that the handler had no room for.
    pub(crate) refused: &'a mut Vec<ConnId>,
    /// Whether requests have no boundaries, so that what waits may grow.
    pub(crate) raw: bool,
    /// When the loop woke up.
    pub(crate) turn_began: Instant,
    pub(crate) batch: &'a mut Requests,
    /// Runs to be queued at the end of the turn.
    pub(crate) to_pool: &'a mut Vec<Arc<Run<H::Data>>>,
}

impl<H: Handler> Pooled<'_, H> {
    /// Hands over what was collected.
    pub(crate) fn hand_over(&mut self) {
        if !self.batch.is_empty() {
            let schedule = self.run.push(self.turn_began, self.batch);
            queue(self.run, schedule, self.to_pool);
        }
    }
}

impl<H: Handler> Host for Pooled<'_, H> {
    fn frame_end(&mut self, bytes: &[u8], seen: usize) -> FrameEnd {
        frame_end(self.handler, self.reactor, self.conn, self.data, bytes, seen)
    }

    fn has_room(&mut self) -> bool {
        has_room(self.handler, self.conn, self.data, self.refused)
    }

    fn request(&mut self, _number: u64, payload: &[u8], _output: &mut Vec<u8>) -> Begun {
        if self.raw {
            let (joined, schedule) = self.run.push_raw(self.turn_began, payload);
            queue(self.run, schedule, self.to_pool);
            if joined {
                return Begun::Joined;
            }
        } else {
            self.batch.push(payload);
        }
        self.reactor.stats.in_flight.add(1);
        self.reactor.stats.requests.add(1);
        Begun::Pending
    }
}

/// Puts a run on the list for the workers as often as it asks.
pub(crate) fn queue<D>(run: &Arc<Run<D>>, schedule: Schedule, to_pool: &mut Vec<Arc<Run<D>>>) {
    match schedule {
        Schedule::Enqueue(times) => to_pool.extend(std::iter::repeat_n(run, times).map(Arc::clone)),
        Schedule::Nothing => {}
    }
}

/// Asks the handler for room; remembers whom it had none for.
fn has_room<H: Handler>(handler: &H, conn: ConnId, data: &H::Data, refused: &mut Vec<ConnId>) -> bool {
    let room = call::has_room(handler, conn, data);
    if !room {
        refused.push(conn);
    }
    room
}

/// Asks the handler where a frame ends. A panic refuses the bytes.
pub(crate) fn frame_end<H: Handler>(
    handler: &H,
    reactor: &LoopShared,
    conn: ConnId,
    data: &H::Data,
    bytes: &[u8],
    seen: usize,
) -> FrameEnd {
    let end = call::contained(conn, "frame", &reactor.progress, || handler.frame(data, bytes, seen));
    end.unwrap_or(FrameEnd::Refused)
}
