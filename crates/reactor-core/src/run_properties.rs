//! Properties of the run of a connection: one loop and several workers, interleaved at random on one thread, against a
//! model that says what each call has to answer. Knows nothing of pools, threads or sockets.

use std::collections::VecDeque;
use std::time::Instant;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::config::RECYCLED_BYTES;
use crate::conn_id::ConnId;
use crate::requests::Requests;
use crate::run::{Leave, Left, Run, Schedule, Take};

const WORKERS: usize = 4;
const HIGH_BYTES: usize = 40;

#[derive(Clone, Copy, Debug)]
struct Setup {
    serial: bool,
    /// Raw bytes, and how many of them may join into one request.
    raw_max_bytes: Option<usize>,
}

/// What loop or workers do next. What is impossible at that moment is skipped.
#[derive(Clone, Debug)]
enum Step {
    Push(Vec<usize>),
    PushRaw(usize),
    /// The peer took so many bytes of what was due.
    Sent(usize),
    Resume,
    /// The deferred reply is there.
    Unblock,
    End,
    /// The run is recycled, for the same connection or for another.
    Assign,
    Take(usize),
    /// The request that a worker is in is answered with so many bytes; `go_on`: it begins the next.
    Answer {
        worker: usize,
        reply_bytes: usize,
        go_on: bool,
    },
    /// The request that a worker is in is answered later; it has not left the run yet.
    Defer(usize),
    /// A worker whose request is answered later leaves.
    LeaveDeferred(usize),
    /// The request that a worker is in is answered, and that closes the connection: after a promise, too, as when a
    /// callback fails that has deferred.
    Last(usize),
    /// The deferred reply is there, and closes the connection.
    Stop,
}

fn setups() -> impl Strategy<Value = Setup> {
    (any::<bool>(), prop_oneof![2 => Just(None), 1 => (1..20_usize).prop_map(Some)])
        .prop_map(|(serial, raw_max_bytes)| Setup { serial, raw_max_bytes })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let worker = 0..WORKERS;
    let step = prop_oneof![
        5 => vec(0..12_usize, 1..5).prop_map(Step::Push),
        5 => (1..12_usize).prop_map(Step::PushRaw),
        3 => (1..2 * HIGH_BYTES).prop_map(Step::Sent),
        2 => Just(Step::Resume),
        3 => Just(Step::Unblock),
        1 => Just(Step::End),
        3 => Just(Step::Assign),
        10 => worker.clone().prop_map(Step::Take),
        10 => (worker.clone(), 0..30_usize, any::<bool>())
            .prop_map(|(worker, reply_bytes, go_on)| Step::Answer { worker, reply_bytes, go_on }),
        2 => worker.clone().prop_map(Step::Defer),
        3 => worker.clone().prop_map(Step::LeaveDeferred),
        1 => worker.prop_map(Step::Last),
        1 => Just(Step::Stop),
    ];
    vec(step, 1..150)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Outside,
    InRequest,
    /// Its request is answered later, and it is about to leave.
    Deferring,
}

#[derive(Debug)]
struct Worker {
    place: Place,
    batch: Requests,
    reply: Vec<u8>,
}

/// The run, and beside it what it should be like.
struct World {
    setup: Setup,
    run: Run<u64>,
    now: Instant,
    /// Which connection the run serves.
    life: u64,
    workers: Vec<Worker>,
    /// How often the run stands in the queue of the pool.
    queued: usize,
    /// Requests that were handed over and have not begun.
    waiting: VecDeque<Vec<u8>>,
    /// The number of the next request to begin.
    next_number: u64,
    /// Unsent output and finished replies, in bytes.
    due_bytes: usize,
    /// The loop was told that the run waits for resume.
    stalled: bool,
    /// A deferred reply is still to come.
    promised: bool,
    /// A reply closes the connection: nothing later begins.
    stopped: bool,
    /// Requests that never will begin are with the run, or were: for the connection they are in flight.
    dropped: bool,
    ended: bool,
    /// How many times a worker has still to say that it was the last in the ended run.
    lasts_due: u32,
    /// What the next byte handed over is, so that no two neighbours are alike.
    next_byte: u8,
}

impl World {
    fn new(setup: Setup) -> Self {
        let run = Run::new(setup.serial, setup.raw_max_bytes, HIGH_BYTES);
        run.assign(conn(1), 1, 0, 0);
        let worker = || Worker { place: Place::Outside, batch: Requests::default(), reply: Vec::new() };
        World {
            setup,
            run,
            now: Instant::now(),
            life: 1,
            workers: std::iter::repeat_with(worker).take(WORKERS).collect(),
            queued: 0,
            waiting: VecDeque::new(),
            next_number: 0,
            due_bytes: 0,
            stalled: false,
            promised: false,
            stopped: false,
            dropped: false,
            ended: false,
            lasts_due: 0,
            next_byte: 0,
        }
    }

    fn inside(&self) -> usize {
        self.workers.iter().filter(|worker| worker.place != Place::Outside).count()
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let next = || {
            self.next_byte = self.next_byte.wrapping_add(1);
            self.next_byte
        };
        std::iter::repeat_with(next).take(len).collect()
    }

    fn schedule(&mut self, schedule: Schedule) {
        match schedule {
            Schedule::Enqueue(times) => {
                assert!(times > 0 && !self.ended && !self.stopped);
                self.queued += times;
            }
            Schedule::Nothing => {}
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Push(sizes) if !self.ended && self.setup.raw_max_bytes.is_none() => self.push(sizes),
            Step::PushRaw(len) if !self.ended => self.push_raw(*len),
            Step::Sent(count) => {
                let count = self.due_bytes.min(*count);
                self.due_bytes -= count;
                self.run.sent(count);
            }
            // Also where nobody waits for it: that must do no harm.
            Step::Resume => {
                self.stalled = false;
                let schedule = self.run.resume();
                self.schedule(schedule);
            }
            Step::Unblock if self.promised => {
                self.promised = false;
                if !self.setup.serial {
                    return;
                }
                let schedule = self.run.unblock();
                self.schedule(schedule);
            }
            Step::End if !self.ended => self.end(),
            Step::Assign => self.assign(),
            Step::Take(worker) if self.queued > 0 && self.workers[*worker].place == Place::Outside => {
                self.take(*worker);
            }
            Step::Answer { worker, reply_bytes, go_on } if self.workers[*worker].place == Place::InRequest => {
                self.answer(*worker, *reply_bytes, *go_on);
            }
            Step::Defer(worker) if self.workers[*worker].place == Place::InRequest => {
                self.workers[*worker].place = Place::Deferring;
                self.promised = !self.ended;
            }
            Step::LeaveDeferred(worker) if self.workers[*worker].place == Place::Deferring => {
                self.leave(*worker, Leave::Deferred);
            }
            Step::Last(worker) if self.workers[*worker].place != Place::Outside => {
                self.leave(*worker, Leave::Last);
            }
            Step::Stop if self.promised => {
                self.promised = false;
                self.run.stop();
                self.stop();
            }
            Step::Push(_)
            | Step::PushRaw(_)
            | Step::Unblock
            | Step::End
            | Step::Take(_)
            | Step::Answer { .. }
            | Step::Defer(_)
            | Step::LeaveDeferred(_)
            | Step::Last(_)
            | Step::Stop => {}
        }
        self.check();
    }

    fn stop(&mut self) {
        self.stopped = true;
        self.dropped |= !self.waiting.is_empty();
        self.waiting.clear();
    }

    fn push(&mut self, sizes: &[usize]) {
        let mut batch = Requests::default();
        for size in sizes {
            let request = self.bytes(*size);
            batch.push(&request);
            self.waiting.push_back(request);
        }
        let schedule = self.run.push(self.now, &mut batch);
        assert!(batch.is_empty(), "all was handed over");
        self.schedule(schedule);
    }

    fn push_raw(&mut self, len: usize) {
        let max_bytes = self.setup.raw_max_bytes.unwrap_or(0);
        let bytes = self.bytes(len.min(max_bytes.max(1)));
        let joins = self.setup.serial
            && self
                .waiting
                .back()
                .is_some_and(|last| self.setup.raw_max_bytes.is_some() && last.len() + bytes.len() <= max_bytes);
        let (joined, schedule) = self.run.push_raw(self.now, &bytes);
        assert_eq!(joined, joins, "raw bytes join what has not begun, up to the limit");
        match self.waiting.back_mut() {
            Some(last) if joins => last.extend_from_slice(&bytes),
            Some(_) | None => self.waiting.push_back(bytes),
        }
        self.schedule(schedule);
    }

    fn end(&mut self) {
        let inside = self.inside() > 0;
        assert_eq!(self.run.end(), inside, "end says whether a worker is in a request");
        self.ended = true;
        self.lasts_due = inside.into();
        self.waiting.clear();
        self.promised = false;
    }

    /// As a loop recycles a run: once nobody else holds it.
    fn assign(&mut self) {
        let quiet = self.waiting.is_empty() && !self.dropped && !self.promised;
        if self.inside() > 0 || self.queued > 0 || !(self.ended || quiet) {
            return;
        }
        if self.ended || self.stopped {
            self.life += 1;
            self.next_number = 0;
            self.due_bytes = 0;
        }
        self.ended = false;
        self.stopped = false;
        self.dropped = false;
        self.stalled = false;
        self.run.assign(conn(self.life), self.life, self.next_number, self.due_bytes);
    }

    fn take(&mut self, worker: usize) {
        self.queued -= 1;
        let inside = self.inside();
        let Worker { place, batch, .. } = &mut self.workers[worker];
        let taken = self.run.take(batch);
        assert_eq!(taken.conn, conn(self.life));
        match taken.what {
            Take::Begin { number } => {
                assert!(!self.ended && !self.stopped, "nothing begins after the end, or after the last reply");
                assert!(self.due_bytes < HIGH_BYTES, "nothing begins while output stands at the high mark");
                assert!(!self.setup.serial || (inside == 0 && !self.promised), "in SERIAL one at a time");
                assert_eq!(taken.data, Some(self.life));
                assert_eq!(number, self.next_number);
                *place = Place::InRequest;
                self.begin(worker);
                assert!(self.setup.serial || self.workers[worker].batch.is_empty(), "one request for each place");
            }
            Take::Stalled => {
                assert!(!self.ended && !self.stopped && self.due_bytes >= HIGH_BYTES);
                self.stalled = true;
            }
            Take::Nothing => assert!(self.ended || self.stopped, "it stood in the queue for nothing"),
        }
    }

    fn begin(&mut self, worker: usize) {
        let request = self.workers[worker].batch.pop().map(<[u8]>::to_vec);
        assert_eq!(request, self.waiting.pop_front(), "requests begin in order, none lost or doubled");
        self.next_number += 1;
    }

    /// As a worker goes on after a reply.
    fn answer(&mut self, worker: usize, reply_bytes: usize, go_on: bool) {
        self.due_bytes += reply_bytes;
        self.run.add_due(reply_bytes);
        assert_eq!(self.run.is_held(), self.due_bytes >= HIGH_BYTES);
        if self.workers[worker].batch.is_empty() || self.ended {
            self.leave(worker, Leave::Free);
        } else if self.run.is_held() {
            self.leave(worker, Leave::Stalled);
        } else if go_on {
            self.begin(worker);
        } else {
            self.leave(worker, Leave::Free);
        }
    }

    fn leave(&mut self, worker: usize, how: Leave) {
        let Worker { place, batch, .. } = &mut self.workers[worker];
        *place = Place::Outside;
        let left = self.run.leave(batch, self.next_number, how);
        assert!(batch.is_empty());
        if how == Leave::Last && !self.ended {
            self.stop();
        }
        let waiting = !self.waiting.is_empty();
        let expected = if self.ended {
            if self.inside() == 0 { Left::LastOfEnded } else { Left::Done }
        } else if !self.setup.serial {
            Left::Done
        } else {
            match how {
                Leave::Stalled => Left::Stalled,
                Leave::Last => Left::Done,
                Leave::Deferred if self.promised || self.stopped => Left::Done,
                Leave::Free | Leave::Deferred => {
                    if waiting {
                        Left::Again
                    } else {
                        Left::Done
                    }
                }
            }
        };
        assert_eq!(left, expected);
        match left {
            Left::Done => {}
            Left::Again => self.queued += 1,
            Left::Stalled => self.stalled = true,
            Left::LastOfEnded => {
                assert_eq!(self.lasts_due, 1, "one worker is the last, where end said that one is inside");
                self.lasts_due = 0;
            }
        }
    }

    /// Whatever could begin stands in the queue, and nothing stands there in vain.
    fn check(&self) {
        if self.ended {
            return;
        }
        if self.stopped {
            // Of what stood in the queue before, some may still be there; a SERIAL run was elsewhere.
            assert!(!self.setup.serial || self.queued == 0);
            return;
        }
        let may_begin = if self.waiting.is_empty() {
            0
        } else if !self.setup.serial {
            self.waiting.len()
        } else {
            usize::from(self.inside() == 0 && !self.promised)
        };
        if !self.stalled {
            assert_eq!(self.queued, may_begin);
        } else if self.setup.serial {
            assert_eq!(self.queued, 0);
        } else {
            // Of what stood in the queue when the run stalled, some may still be there.
            assert!(self.queued <= may_begin);
        }
    }

    /// All that is left takes its course.
    fn finish(&mut self) {
        while self.inside() > 0 || self.queued > 0 || self.promised || self.stalled {
            let before = (self.next_number, self.waiting.len());
            for worker in 0..WORKERS {
                self.step(&Step::LeaveDeferred(worker));
                self.step(&Step::Answer { worker, reply_bytes: 3, go_on: true });
                self.step(&Step::Take(worker));
            }
            self.step(&Step::Unblock);
            self.step(&Step::Sent(usize::MAX));
            self.step(&Step::Resume);
            assert!(before.1 <= 10_000, "the steps push no more than that");
        }
        assert!(self.stopped || self.waiting.is_empty(), "each request has begun");
        assert_eq!(self.lasts_due, 0, "the last to leave the ended run has said so");
    }
}

fn conn(life: u64) -> ConnId {
    ConnId::new(0, 7, life as u32)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_request_begins_once_and_in_order_whoever_comes_when(setup in setups(), steps in steps()) {
        let mut world = World::new(setup);
        for step in &steps {
            world.step(step);
        }
        world.finish();
        // Whatever became of it, it serves its next connection.
        world.step(&Step::End);
        world.finish();
        world.step(&Step::Assign);
        world.step(&Step::PushRaw(1));
        world.finish();
        prop_assert_eq!(world.next_number, 1);
    }
}

/// Who counted it counts it no more, and a worker may come by much later.
#[test]
fn a_run_that_nothing_more_begins_of_holds_no_large_buffer() {
    let ways: [fn(&Run<()>); 2] = [|run| _ = run.end(), Run::stop];
    for way in ways {
        let run = Run::new(true, None, usize::MAX);
        run.assign(conn(1), (), 0, 0);
        let mut batch = Requests::default();
        batch.push(&[1; 2 * RECYCLED_BYTES]);
        run.push(Instant::now(), &mut batch);
        assert!(run.is_larger_than(RECYCLED_BYTES));
        way(&run);
        assert!(!run.is_larger_than(RECYCLED_BYTES));
    }
}

/// What a worker has done of what it took is not counted any more.
#[test]
fn what_was_begun_takes_no_memory_beside_what_was_not() {
    let large = 2 * RECYCLED_BYTES;
    let run: Run<()> = Run::new(true, None, usize::MAX);
    run.assign(conn(1), (), 0, 0);
    let mut batch = Requests::default();
    batch.push(&vec![1; large]);
    batch.push(&vec![2; large]);
    run.push(Instant::now(), &mut batch);
    let mut taken = Requests::default();
    assert_eq!(run.take(&mut taken).what, Take::Begin { number: 0 });
    assert_eq!(taken.pop().map(<[u8]>::len), Some(large));
    assert_eq!(run.leave(&mut taken, 1, Leave::Free), Left::Again);
    assert!(run.is_larger_than(large - 1) && !run.is_larger_than(large + large / 2));
}

#[test]
fn a_run_that_ended_around_a_worker_serves_its_next_connection() {
    let mut world = World::new(Setup { serial: true, raw_max_bytes: None });
    for step in [
        Step::Push(vec![1]),
        Step::Take(0),
        Step::End,
        Step::Answer { worker: 0, reply_bytes: 0, go_on: false },
        Step::Assign,
        Step::Push(vec![1]),
    ] {
        world.step(&step);
    }
    world.finish();
    assert_eq!((world.life, world.next_number), (2, 1));
}
