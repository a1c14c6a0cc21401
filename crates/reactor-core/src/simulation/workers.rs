//! Stands in for the pool: workers that are stepped one at a time and in any order. Each takes a run, begins requests,
//! answers or defers them, posts, and leaves, as `workers.rs` does: the run, the call into the handler and the mail are
//! the real ones.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::call::{self, Outcome, Request};
use crate::conn_id::ConnId;
use crate::connection::Answer;
use crate::handler::Handler;
use crate::ordering::Ending;
use crate::requests::Requests;
use crate::run::{Leave, Left, Run, Take};
use crate::scene;
use crate::shared::{Message, Shared};
use crate::simulation::dice::rarely;
use crate::simulation::story::tell;
use crate::simulation::world;

#[derive(Debug)]
pub(crate) struct Pool<D> {
    state: Mutex<State<D>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct State<D> {
    runs: VecDeque<Arc<Run<D>>>,
    seats: Vec<Seat<D>>,
}

#[derive(Debug)]
pub(crate) struct Watch;

impl Watch {
    pub(crate) fn new() -> Self {
        Watch
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Outside,
    InRequest,
    /// It has yet to post, then to leave.
    Leaving(Leave),
    Posted(Leave),
}

/// One worker.
#[derive(Debug)]
struct Seat<D> {
    place: Place,
    run: Option<Arc<Run<D>>>,
    conn: ConnId,
    data: Option<D>,
    batch: Requests,
    reply: Vec<u8>,
    unposted: Option<Answer>,
    /// The request that it is in.
    number: u64,
    payload: Vec<u8>,
}

impl<D> Default for Seat<D> {
    fn default() -> Self {
        Seat {
            place: Place::Outside,
            run: None,
            conn: ConnId::NONE,
            data: None,
            batch: Requests::default(),
            reply: Vec::new(),
            unposted: None,
            number: 0,
            payload: Vec::new(),
        }
    }
}

impl<D: Clone> Pool<D> {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let seats = std::iter::repeat_with(Seat::default).take(shared.workers.len()).collect();
        Pool { state: Mutex::new(State { runs: VecDeque::new(), seats }), shared }
    }

    fn lock(&self) -> MutexGuard<'_, State<D>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn submit(&self, runs: &mut Vec<Arc<Run<D>>>, _watch: &mut Watch) {
        self.lock().runs.extend(runs.drain(..));
    }

    /// Nobody sleeps here.
    pub(crate) fn go_on(&self, _watch: &mut Watch) {}

    pub(crate) fn watch(&self, _watch: &mut Watch, _now_ms: u64) -> bool {
        false
    }

    pub(crate) fn close(&self) {
        self.lock().runs.clear();
    }

    /// The workers, with the handler that they call.
    pub(crate) fn stage<H: Handler<Data = D>>(self: Arc<Self>, handler: Arc<H>) -> Box<dyn Stage>
    where
        D: Send + 'static,
    {
        Box::new(Workers { pool: self, handler })
    }

    fn take(&self, seat: &mut Seat<D>, index: usize) {
        if self.shared.is_full() {
            return;
        }
        let Some(run) = self.lock().runs.pop_front() else { return };
        let taken = run.take(&mut seat.batch);
        seat.conn = taken.conn;
        match taken.what {
            Take::Begin { number } => {
                seat.number = number;
                seat.data = taken.data;
                seat.run = Some(run);
                begin(seat, index);
            }
            Take::Stalled => {
                tell(|| format!("worker {index} finds output at the high mark"));
                self.shared.post(taken.conn, Message::Stalled(taken.conn));
            }
            Take::Nothing => {}
        }
    }

    fn post(&self, seat: &mut Seat<D>) {
        if let Some(answer) = seat.unposted.take() {
            let _ = self.shared.loop_of(seat.conn).and_then(|reactor| reactor.post_answer(seat.conn, answer));
        }
    }

    fn leave(&self, seat: &mut Seat<D>, how: Leave) {
        seat.place = Place::Outside;
        let Some(run) = mem::take(&mut seat.run) else { return };
        let left = run.leave(&mut seat.batch, seat.number + 1, how);
        seat.batch.give_buffer(&mut seat.reply);
        let conn = seat.conn;
        match left {
            Left::Done => {}
            Left::Again => self.lock().runs.push_back(run),
            Left::Stalled => self.shared.post(conn, Message::Stalled(conn)),
            Left::LastOfEnded => self.shared.post(conn, Message::Left(conn)),
        }
    }

    fn finish<H: Handler<Data = D>>(&self, seat: &mut Seat<D>, index: usize, handler: &H) {
        let Some(data) = seat.data.clone() else { return };
        let request = Request { conn: seat.conn, data: &data, number: seat.number, payload: &seat.payload };
        let server = Arc::as_ptr(&self.shared).addr();
        scene::enter_server(server, true);
        scene::with_unposted(|unposted| *unposted = seat.unposted.take());
        world::set_worker_number(seat.number);
        let (outcome, _) = call::process(handler, &self.shared, &self.shared.workers[index], &request, &mut seat.reply);
        seat.unposted = scene::take_unposted();
        scene::enter_server(server, false);
        let ending = match outcome {
            Outcome::Answered(ending) => ending,
            Outcome::Deferred { last } => {
                seat.place = Place::Leaving(if last { Leave::Last } else { Leave::Deferred });
                return;
            }
        };
        let Some(run) = seat.run.clone() else { return };
        run.add_due(seat.reply.len());
        let request_bytes = seat.payload.len();
        if let Some(answer) = &mut seat.unposted {
            answer.count += 1;
            answer.request_bytes += request_bytes;
            answer.bytes.append(&mut seat.reply);
            answer.ending = ending;
        } else {
            let (first, bytes) = (seat.number, mem::take(&mut seat.reply));
            seat.unposted = Some(Answer { first, count: 1, request_bytes, bytes, ending });
        }
        if ending != Ending::Continue {
            seat.place = Place::Leaving(Leave::Last);
        } else if seat.batch.is_empty() || !self.shared.is_open(seat.conn) {
            seat.place = Place::Leaving(Leave::Free);
        } else if run.is_held() {
            seat.place = Place::Leaving(Leave::Stalled);
        } else if rarely(6) {
            // Its time is over.
            seat.place = Place::Leaving(Leave::Free);
        } else {
            if rarely(4) {
                self.post(seat);
            }
            seat.number += 1;
            begin(seat, index);
        }
    }
}

/// The next request of the batch begins.
fn begin<D>(seat: &mut Seat<D>, index: usize) {
    let payload = seat.batch.pop().expect("a worker begins what is there");
    seat.payload.clear();
    seat.payload.extend_from_slice(payload);
    seat.place = Place::InRequest;
    tell(|| format!("worker {index} begins a request"));
    world::begin(seat.conn, seat.number, &seat.payload);
}

/// Workers that can be stepped.
pub(crate) trait Stage {
    /// One step of the worker of this number, modulo how many there are.
    fn step(&self, index: usize);

    /// Nothing is queued and all workers are outside.
    fn is_quiet(&self) -> bool;

    /// Whether a worker has answered a request of this connection, and the loop cannot know yet.
    fn holds_an_answer(&self, conn: ConnId) -> bool;
}

struct Workers<H: Handler> {
    pool: Arc<Pool<H::Data>>,
    handler: Arc<H>,
}

impl<H: Handler> fmt::Debug for Workers<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").finish_non_exhaustive()
    }
}

impl<H: Handler> Stage for Workers<H> {
    fn step(&self, index: usize) {
        let index = index % self.pool.shared.workers.len();
        let mut seat = mem::take(&mut self.pool.lock().seats[index]);
        match seat.place {
            Place::Outside => self.pool.take(&mut seat, index),
            Place::InRequest => self.pool.finish(&mut seat, index, &*self.handler),
            Place::Leaving(how) => {
                self.pool.post(&mut seat);
                seat.place = Place::Posted(how);
            }
            Place::Posted(how) => self.pool.leave(&mut seat, how),
        }
        self.pool.lock().seats[index] = seat;
    }

    fn is_quiet(&self) -> bool {
        let state = self.pool.lock();
        state.runs.is_empty() && state.seats.iter().all(|seat| seat.place == Place::Outside)
    }

    fn holds_an_answer(&self, conn: ConnId) -> bool {
        self.pool.lock().seats.iter().any(|seat| seat.conn == conn && seat.unposted.is_some())
    }
}
