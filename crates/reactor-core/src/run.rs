//! Owns the run of a connection: the requests that its loop has handed over and no worker has begun, and who may begin
//! the next. Loop and workers share it behind one short lock. Knows nothing of queues, threads or sockets.

use std::mem;
use std::sync::PoisonError;
use std::time::Instant;

use crate::config::RECYCLED_BYTES;
use crate::conn_id::ConnId;
use crate::requests::Requests;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// Whether the loop has to put the run into the workers' queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// So many times.
    Enqueue(usize),
    /// It is there, or in a worker, or may not go on.
    Nothing,
}

/// What a worker gets when it takes the run from the queue.
#[derive(Debug)]
pub(crate) struct Taken<D> {
    pub(crate) conn: ConnId,
    /// The connection's, where a request may begin.
    pub(crate) data: Option<D>,
    /// When the loop handed requests over to a run that had none.
    pub(crate) pushed: Option<Instant>,
    pub(crate) what: Take,
}

/// What a worker finds when it takes the run from the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// `number` is that of the first request that was moved to the worker's batch.
    Begin {
        /// Counted by the connection, from 0.
        number: u64,
    },
    /// Output stands at the high mark, and [`Run::resume`] will be called.
    Stalled,
    /// Nothing to begin: the connection has ended, or the run is empty.
    Nothing,
}

#[derive(Debug)]
struct State<D> {
    conn: ConnId,
    data: Option<D>,
    /// Handed over and not taken by a worker.
    inbound: Requests,
    /// In SERIAL: taken and given back unfinished, before `inbound`.
    unfinished: Requests,
    /// The number of the first request that no worker has begun.
    next_request: u64,
    /// In SERIAL: in the queue, in a worker, or waiting for a deferred reply.
    scheduled: bool,
    /// In the other orders: how many times it is in the queue.
    tickets: usize,
    /// Workers that are in it.
    running: u32,
    /// Output stood at the high mark when a worker would have begun.
    stalled: bool,
    ended: bool,
    /// The last request has begun: nothing later ever does.
    last_begun: bool,
    /// In SERIAL: it waits for a deferred reply.
    blocked: bool,
    /// In SERIAL: the deferred reply was there before the worker had left.
    unblocked_early: bool,
    pushed: Option<Instant>,
}

impl<D> State<D> {
    fn stop(&mut self) {
        self.last_begun = true;
        self.inbound.drop_all();
        self.unfinished.drop_all();
    }
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Run<D> {
    /// Whether requests begin one at a time.
    serial: bool,
    raw_max_bytes: Option<usize>,
    high_bytes: usize,
    /// Finished replies and unsent output, in bytes.
    due_bytes: AtomicUsize,
    /// The worker that was in it last was so for long.
    slow: AtomicBool,
    state: Mutex<State<D>>,
}

impl<D: Clone> Run<D> {
    /// `raw_max_bytes`: where requests have no boundaries, how many bytes may join into one.
    pub(crate) fn new(serial: bool, raw_max_bytes: Option<usize>, high_bytes: usize) -> Self {
        Run {
            serial,
            raw_max_bytes: raw_max_bytes.filter(|_| serial),
            high_bytes,
            due_bytes: AtomicUsize::new(0),
            slow: AtomicBool::new(false),
            state: Mutex::new(State {
                conn: ConnId::NONE,
                data: None,
                inbound: Requests::default(),
                unfinished: Requests::default(),
                next_request: 0,
                scheduled: false,
                tickets: 0,
                running: 0,
                stalled: false,
                ended: false,
                last_begun: false,
                blocked: false,
                unblocked_early: false,
                pushed: None,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<D>> {
        // No code of the user runs under the lock, and none of ours panics with it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- The loop's side ---------------------------------------------------------------------------------------

    /// A run that was recycled serves another connection from here on, or the same again.
    pub(crate) fn assign(&self, conn: ConnId, data: D, next_request: u64, due_bytes: usize) {
        let mut state = self.lock();
        debug_assert!(state.running == 0 && state.inbound.is_empty() && state.unfinished.is_empty());
        state.conn = conn;
        state.data = Some(data);
        state.next_request = next_request;
        state.stalled = false;
        state.ended = false;
        state.last_begun = false;
        state.scheduled = false;
        state.tickets = 0;
        state.blocked = false;
        state.unblocked_early = false;
        self.due_bytes.store(due_bytes, Ordering::Relaxed);
        self.slow.store(false, Ordering::Relaxed);
    }

    /// It serves nobody: what stays with its last connection goes, outside the lock.
    pub(crate) fn let_go(&self) {
        let data = self.lock().data.take();
        drop(data);
    }

    /// Hands requests over.
    pub(crate) fn push(&self, now: Instant, batch: &mut Requests) -> Schedule {
        let count = batch.len();
        let mut state = self.lock();
        if state.inbound.is_empty() {
            state.pushed = Some(now);
        }
        state.inbound.append(batch);
        self.schedule(&mut state, count)
    }

    /// Hands raw bytes over. Says whether they joined a request that has not begun.
    pub(crate) fn push_raw(&self, now: Instant, bytes: &[u8]) -> (bool, Schedule) {
        let mut state = self.lock();
        if state.inbound.is_empty() {
            state.pushed = Some(now);
        }
        if let Some(max_bytes) = self.raw_max_bytes
            && state.inbound.join(bytes, max_bytes)
        {
            return (true, Schedule::Nothing);
        }
        state.inbound.push(bytes);
        (false, self.schedule(&mut state, 1))
    }

    fn schedule(&self, state: &mut State<D>, count: usize) -> Schedule {
        if state.stalled || state.ended || state.last_begun || count == 0 {
            return Schedule::Nothing;
        }
        if !self.serial {
            state.tickets += count;
            return Schedule::Enqueue(count);
        }
        if mem::replace(&mut state.scheduled, true) { Schedule::Nothing } else { Schedule::Enqueue(1) }
    }

    /// Output has come down to the low mark: what [`Take::Stalled`] stopped goes on.
    pub(crate) fn resume(&self) -> Schedule {
        let mut state = self.lock();
        if !mem::replace(&mut state.stalled, false) {
            return Schedule::Nothing;
        }
        let waiting = state.inbound.len() + state.unfinished.len();
        let unticketed = if self.serial { waiting } else { waiting - state.tickets.min(waiting) };
        self.schedule(&mut state, unticketed)
    }

    /// A deferred reply that a SERIAL run waited for is there.
    pub(crate) fn unblock(&self) -> Schedule {
        let mut state = self.lock();
        debug_assert!(self.serial);
        if state.ended || state.last_begun {
            return Schedule::Nothing;
        }
        if !mem::replace(&mut state.blocked, false) {
            state.unblocked_early = true;
            return Schedule::Nothing;
        }
        state.scheduled = false;
        let waiting = state.inbound.len() + state.unfinished.len();
        self.schedule(&mut state, waiting)
    }

    /// A reply closes the connection: what has not begun never will.
    pub(crate) fn stop(&self) {
        self.lock().stop();
    }

    /// The connection has ended: what has not begun never will. Says whether a worker is still in a request; the last
    /// to leave says so.
    pub(crate) fn end(&self) -> bool {
        let mut state = self.lock();
        state.ended = true;
        state.inbound.drop_all();
        state.unfinished.drop_all();
        state.running > 0
    }

    /// What it holds is not worth keeping for reuse.
    pub(crate) fn is_larger_than(&self, bytes: usize) -> bool {
        let state = self.lock();
        state.inbound.capacity() + state.unfinished.capacity() > bytes
    }

    /// `bytes` more are due to the peer.
    pub(crate) fn add_due(&self, bytes: usize) {
        self.due_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// `bytes` of what was due have left.
    pub(crate) fn sent(&self, bytes: usize) {
        // Pushed and inline bytes that left were counted by nobody: never below 0.
        let _ =
            self.due_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due| Some(due.saturating_sub(bytes)));
    }

    // ---- The workers' side -------------------------------------------------------------------------------------

    /// Whether its requests took long when a worker was in it last, as they may again.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    /// Said by a worker that is about to leave.
    pub(crate) fn set_slow(&self, slow: bool) {
        self.slow.store(slow, Ordering::Relaxed);
    }

    /// Whether output stands at the high mark, so that no request may begin.
    pub(crate) fn is_held(&self) -> bool {
        self.due_bytes.load(Ordering::Relaxed) >= self.high_bytes
    }

    /// A worker took the run from the queue: moves what it may do to `batch`, which is empty. In SERIAL these are all
    /// requests there are (of raw ones the first, so that the rest may still join), else one.
    pub(crate) fn take(&self, batch: &mut Requests) -> Taken<D> {
        let mut state = self.lock();
        let state = &mut *state;
        let taken = |conn, what| Taken { conn, data: None, pushed: None, what };
        state.tickets = state.tickets.saturating_sub(1);
        let nothing = state.inbound.is_empty() && state.unfinished.is_empty();
        if state.ended || state.last_begun || nothing {
            state.scheduled = false;
            return taken(state.conn, Take::Nothing);
        }
        if self.is_held() {
            state.stalled = true;
            state.scheduled = false;
            return taken(state.conn, Take::Stalled);
        }
        let number = state.next_request;
        if self.serial && self.raw_max_bytes.is_none() {
            let waiting = if state.unfinished.is_empty() { &mut state.inbound } else { &mut state.unfinished };
            mem::swap(batch, waiting);
        } else if state.inbound.len() == 1 {
            mem::swap(batch, &mut state.inbound);
            state.next_request += 1;
        } else if let Some(first) = state.inbound.pop() {
            batch.push(first);
            state.next_request += 1;
        }
        state.running += 1;
        Taken { conn: state.conn, data: state.data.clone(), pushed: state.pushed, what: Take::Begin { number } }
    }

    /// A worker leaves the run, having begun all requests before `next_request`; `batch` is what it did not begin.
    pub(crate) fn leave(&self, batch: &mut Requests, next_request: u64, how: Leave) -> Left {
        let mut state = self.lock();
        let state = &mut *state;
        state.running -= 1;
        if state.ended {
            state.scheduled = false;
            batch.clear();
            return if state.running == 0 { Left::LastOfEnded } else { Left::Done };
        }
        if !self.serial {
            batch.clear();
            if how == Leave::Last {
                state.stop();
            }
            return Left::Done;
        }
        state.next_request = next_request;
        if how == Leave::Last {
            state.stop();
            batch.clear();
            return Left::Done;
        }
        if !batch.is_empty() {
            batch.fit_large();
            mem::swap(&mut state.unfinished, batch);
        }
        batch.clear();
        let waiting = !state.inbound.is_empty() || !state.unfinished.is_empty();
        match how {
            // It stays scheduled, so that nobody puts it into the queue: unblock will.
            Leave::Deferred if !mem::replace(&mut state.unblocked_early, false) => {
                state.blocked = true;
                Left::Done
            }
            Leave::Stalled => {
                state.unfinished.fit();
                state.stalled = true;
                state.scheduled = false;
                Left::Stalled
            }
            Leave::Free | Leave::Deferred | Leave::Last if waiting => Left::Again,
            Leave::Free | Leave::Deferred | Leave::Last => {
                state.scheduled = false;
                Left::Done
            }
        }
    }
}

/// Why a worker leaves a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// All is done, or it is another's turn.
    Free,
    /// Output stands at the high mark.
    Stalled,
    /// The last request is answered later.
    Deferred,
    /// The last reply closes the connection: nothing later begins.
    Last,
}

/// What follows for the worker that left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing.
    Done,
    /// The run goes to the end of the queue.
    Again,
    /// The loop has to know that the run waits for [`Run::resume`].
    Stalled,
    /// The loop has to know that no worker is in the ended run any more.
    LastOfEnded,
}

/// A reply buffer of usual size is worth keeping.
pub(crate) fn worth_keeping(buffer: &Vec<u8>) -> bool {
    (1..=RECYCLED_BYTES).contains(&buffer.capacity())
}
