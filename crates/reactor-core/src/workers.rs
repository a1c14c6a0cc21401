//! Owns the pool that runs requests: a queue of runs, and threads from `threadpool` which stay. As few workers are awake
//! as the work needs, the one that was busy last first; one that is stuck in a long request does not count, nor does one
//! that takes up a connection whose last request was long. Knows nothing of sockets.
//!
//! `threadpool` gives the threads and nothing else: its own `execute` for each request would cost a box, a channel send and
//! the futex of a shared receiver, and wake every worker for work that one of them could do.

use std::collections::VecDeque;
use std::ffi::CString;
use std::mem;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Instant;

use crate::call::{self, Outcome, Request};
use crate::config::{POST_US, RUN_REQUESTS, RUN_US, SAMPLED, STUCK_MS, WORK_PER_WORKER_US};
use crate::conn_id::ConnId;
use crate::connection::Answer;
use crate::handler::Handler;
use crate::ordering::Ending;
use crate::requests::Requests;
use crate::run::{Leave, Left, Run, Take, worth_keeping};
use crate::scene;
use crate::shared::{Message, Progress, Shared, in_callback};
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::sync::thread::{self, Thread};
use crate::sync::{Mutex, MutexGuard, since_ns};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Pool<D> {
    queue: Mutex<Queue<D>>,
    seats: Vec<Seat>,
    /// How long a stay of a worker in a run takes on average, in nanoseconds.
    cost_ns: AtomicU64,
    /// Workers in a run that is likely to take long: they have stepped aside.
    aside: AtomicUsize,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Queue<D> {
    runs: VecDeque<Arc<Run<D>>>,
    /// Workers that sleep, the last to fall asleep last.
    idle: Vec<usize>,
    closed: bool,
}

/// Where one worker sleeps.
#[derive(Debug, Default)]
struct Seat {
    thread: OnceLock<Thread>,
    woken: AtomicBool,
    aside: AtomicBool,
}

/// What one loop remembers of the workers from one look at them to the next.
#[derive(Debug)]
pub(crate) struct Watch {
    steps: Vec<u64>,
    looked_ms: u64,
    /// Workers that made no progress between two looks, and how many steps they had made.
    stuck: Vec<(usize, u64)>,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Watch { steps: Vec::new(), looked_ms: 0, stuck: Vec::new() }
    }

    /// Finds out who is stuck: in the same callback as at the last look.
    fn look(&mut self, workers: &[Progress], now_ms: u64) {
        self.stuck.clear();
        self.steps.resize(workers.len(), 0);
        for (worker, (before, progress)) in self.steps.iter_mut().zip(workers).enumerate() {
            let now = progress.get();
            if mem::replace(before, now) == now && in_callback(now) {
                self.stuck.push((worker, now));
            }
        }
        self.looked_ms = now_ms;
    }

    /// Those of them that have made no progress since.
    fn still_stuck(&mut self, workers: &[Progress]) -> &[(usize, u64)] {
        self.stuck.retain(|(worker, steps)| workers[*worker].get() == *steps);
        &self.stuck
    }
}

impl<D: Clone> Pool<D> {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let seats = std::iter::repeat_with(Seat::default).take(shared.workers.len()).collect();
        let queue = Queue { runs: VecDeque::new(), idle: Vec::new(), closed: false };
        Pool { queue: Mutex::new(queue), seats, cost_ns: AtomicU64::new(0), aside: AtomicUsize::new(0), shared }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<D>> {
        // No code of the user runs under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- The loops' side ---------------------------------------------------------------------------------------

    /// Queues the runs of one turn, and wakes as many workers as the work needs.
    pub(crate) fn submit(&self, runs: &mut Vec<Arc<Run<D>>>, watch: &mut Watch) {
        if runs.is_empty() {
            return;
        }
        let away = self.away(watch);
        let mut queue = self.lock();
        queue.runs.extend(runs.drain(..));
        self.wake_enough(queue, away);
    }

    /// Workers that are awake and of whom nothing is to be expected: stuck, or aside.
    fn away(&self, watch: &mut Watch) -> usize {
        let stuck = watch.still_stuck(&self.shared.workers);
        let counted = stuck.iter().filter(|(seat, _)| !self.seats[*seat].aside.load(Ordering::Relaxed)).count();
        counted + self.aside.load(Ordering::Relaxed)
    }

    /// Looks for workers that make no progress, once a millisecond while there is work, and lets others take their place.
    /// Says whether to look again in a millisecond.
    pub(crate) fn watch(&self, watch: &mut Watch, now_ms: u64) -> bool {
        let due = now_ms >= watch.looked_ms + STUCK_MS;
        if due {
            watch.look(&self.shared.workers, now_ms);
        }
        let queue = self.lock();
        if queue.runs.is_empty() || queue.idle.is_empty() {
            return false;
        }
        if due {
            let away = self.away(watch);
            self.wake_enough(queue, away);
        }
        true
    }

    /// A loop has taken what workers may have waited for.
    pub(crate) fn go_on(&self, watch: &mut Watch) {
        let away = self.away(watch);
        let queue = self.lock();
        if !queue.runs.is_empty() {
            self.wake_enough(queue, away);
        }
    }

    /// `away`: of those that are awake, how many do not count.
    fn wake_enough(&self, mut queue: MutexGuard<'_, Queue<D>>, away: usize) {
        if self.shared.is_full() || self.shared.budget.holds_all_workers(|| self.shared.stop.now_ms()) {
            return;
        }
        let work_us = (queue.runs.len() as u64).saturating_mul(self.cost_ns.load(Ordering::Relaxed)) / 1_000;
        let needed = work_us.div_ceil(WORK_PER_WORKER_US).max(1).min(self.seats.len() as u64) as usize;
        let awake = (self.seats.len() - queue.idle.len()).saturating_sub(away);
        let count = needed.saturating_sub(awake).min(queue.idle.len());
        if count == 1
            && let Some(seat) = queue.idle.pop()
        {
            drop(queue);
            self.wake(seat);
            return;
        }
        let from = queue.idle.len() - count;
        let woken: Vec<usize> = queue.idle.drain(from..).collect();
        drop(queue);
        for seat in woken {
            self.wake(seat);
        }
    }

    fn wake(&self, seat: usize) {
        let seat = &self.seats[seat];
        seat.woken.store(true, Ordering::Release);
        if let Some(thread) = seat.thread.get() {
            thread.unpark();
        }
    }

    /// The last loop has gone: workers leave once they are through.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.runs.clear();
        let idle = mem::take(&mut queue.idle);
        drop(queue);
        for seat in idle {
            self.wake(seat);
        }
    }

    // ---- The workers' side -------------------------------------------------------------------------------------

    /// The next run; `None` once the pool is closed.
    fn next(&self, seat: usize) -> Option<Arc<Run<D>>> {
        loop {
            let mut queue = self.lock();
            // Under the lock, which the loop takes once there is room: so it finds who waits for that.
            if !queue.runs.is_empty()
                && !self.shared.is_full()
                && !self.shared.budget.holds_worker(|| self.shared.stop.now_ms())
                && let Some(run) = queue.runs.pop_front()
            {
                return Some(run);
            }
            if queue.closed {
                return None;
            }
            queue.idle.push(seat);
            drop(queue);
            while !self.seats[seat].woken.swap(false, Ordering::Acquire) {
                thread::park();
            }
        }
    }

    fn enqueue(&self, run: Arc<Run<D>>) {
        self.lock().runs.push_back(run);
    }

    /// A worker takes up what is likely to take long: whatever else waits is another's.
    fn step_aside(&self, seat: usize) {
        self.seats[seat].aside.store(true, Ordering::Relaxed);
        let away = self.aside.fetch_add(1, Ordering::Relaxed) + 1;
        let queue = self.lock();
        if !queue.runs.is_empty() {
            self.wake_enough(queue, away);
        }
    }

    fn step_back(&self, seat: usize) {
        self.seats[seat].aside.store(false, Ordering::Relaxed);
        self.aside.fetch_sub(1, Ordering::Relaxed);
    }

    /// An average that follows the last few dozen stays.
    fn took(&self, ns: u64) {
        let cost_ns = self.cost_ns.load(Ordering::Relaxed);
        let next = if cost_ns == 0 { ns } else { cost_ns - cost_ns / 16 + ns / 16 };
        self.cost_ns.store(next, Ordering::Relaxed);
    }
}

/// The job of one worker, from start to stop.
pub(crate) fn work<H: Handler>(handler: &H, pool: &Pool<H::Data>, seat: usize) {
    // threadpool gives all its threads one name; tools show the kernel's, of 15 bytes at most (prctl(2), PR_SET_NAME).
    if let Ok(name) = CString::new(format!("reactor-worker-{seat}")) {
        set_thread_name(&name);
    }
    let _ = pool.seats[seat].thread.set(thread::current());
    let mut worker =
        Worker { handler, pool, seat, batch: Requests::default(), reply: Vec::new(), spare: Vec::new(), begun: 0 };
    while let Some(run) = pool.next(seat) {
        let aside = run.is_slow();
        if aside {
            pool.step_aside(seat);
        }
        worker.stay(run, Instant::now());
        if aside {
            pool.step_back(seat);
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn set_thread_name(name: &CString) {
    // It fails for no valid pointer.
    let _ = nix::sys::prctl::set_name(name);
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn set_thread_name(_name: &CString) {}

/// What a worker keeps from one run to the next.
struct Worker<'a, H: Handler> {
    handler: &'a H,
    pool: &'a Pool<H::Data>,
    seat: usize,
    batch: Requests,
    /// The reply being written, and the buffer of the next one.
    reply: Vec<u8>,
    spare: Vec<u8>,
    /// Requests begun since the start; one in so many is timed.
    begun: u64,
}

impl<H: Handler> Worker<'_, H> {
    /// Takes the run, begins what it may, and leaves it.
    fn stay(&mut self, run: Arc<Run<H::Data>>, began: Instant) {
        let taken = run.take(&mut self.batch);
        let conn = taken.conn;
        let number = match taken.what {
            Take::Begin { number } => number,
            Take::Stalled => return self.pool.shared.post(conn, Message::Stalled(conn)),
            Take::Nothing => return,
        };
        let Some(data) = taken.data else { return };
        if let Some(pushed) = taken.pushed.filter(|_| self.begun.is_multiple_of(SAMPLED))
            && let Some(reactor) = self.pool.shared.loop_of(conn)
        {
            reactor.stats.sample_queue_wait(began.saturating_duration_since(pushed));
        }
        let (next, how) = self.begin(&run, conn, &data, number, began);
        let took_ns = since_ns(began);
        self.pool.took(took_ns);
        run.set_slow(took_ns >= STUCK_MS * 1_000_000);
        let left = run.leave(&mut self.batch, next, how);
        self.batch.give_buffer(&mut self.reply);
        match left {
            Left::Done => {}
            Left::Again => self.pool.enqueue(run),
            Left::Stalled => self.pool.shared.post(conn, Message::Stalled(conn)),
            Left::LastOfEnded => self.pool.shared.post(conn, Message::Left(conn)),
        }
    }

    /// Runs the requests of the batch as far as they may begin; says which number is next, and why it stopped.
    fn begin(
        &mut self,
        run: &Run<H::Data>,
        conn: ConnId,
        data: &H::Data,
        mut number: u64,
        began: Instant,
    ) -> (u64, Leave) {
        let pool = self.pool;
        let shared = &pool.shared;
        let progress = &shared.workers[self.seat];
        let mut how = Leave::Free;
        let mut count = 0;
        while let Some(payload) = self.batch.pop() {
            let request = Request { conn, data, number, payload };
            let timed = self.begun.is_multiple_of(SAMPLED).then(Instant::now);
            self.begun += 1;
            // What it pushed went by mail.
            let (outcome, _) = call::process(self.handler, shared, progress, &request, &mut self.reply);
            if let (Some(timed), Some(reactor)) = (timed, shared.loop_of(conn)) {
                reactor.stats.sample_process(timed.elapsed());
            }
            number += 1;
            count += 1;
            let ending = match outcome {
                Outcome::Answered(ending) => ending,
                Outcome::Deferred { last } => {
                    how = if last { Leave::Last } else { Leave::Deferred };
                    break;
                }
            };
            run.add_due(self.reply.len());
            finish(number - 1, payload.len(), &mut self.reply, &mut self.spare, ending);
            if ending != Ending::Continue {
                how = Leave::Last;
                break;
            }
            if self.batch.is_empty() || !shared.is_open(conn) {
                break;
            }
            if run.is_held() {
                how = Leave::Stalled;
                break;
            }
            let spent_us = began.elapsed().as_micros() as u64;
            if count >= RUN_REQUESTS || spent_us >= RUN_US {
                break;
            }
            if spent_us >= POST_US {
                self.post(conn);
            }
        }
        self.post(conn);
        (number, how)
    }

    /// Posts what is finished.
    fn post(&mut self, conn: ConnId) {
        if let Some(answer) = scene::take_unposted() {
            let copied = self.pool.shared.loop_of(conn).and_then(|reactor| reactor.post_answer(conn, answer));
            if let Some(buffer) = copied.filter(worth_keeping) {
                self.spare = buffer;
            }
        }
    }
}

/// A reply is finished: it waits, behind those before it, to be posted.
fn finish(number: u64, request_bytes: usize, reply: &mut Vec<u8>, spare: &mut Vec<u8>, ending: Ending) {
    scene::with_unposted(|unposted| match unposted {
        Some(answer) => {
            answer.count += 1;
            answer.request_bytes += request_bytes;
            answer.bytes.append(reply);
            answer.ending = ending;
        }
        None => {
            let bytes = mem::replace(reply, mem::take(spare));
            *unposted = Some(Answer { first: number, count: 1, request_bytes, bytes, ending });
        }
    });
}
