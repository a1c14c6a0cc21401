//! Workers as a test steps them, one at a time and in any order: each takes a run, begins requests, answers or defers
//! them, posts, and leaves, as `workers.rs` does. Knows the run and the mail, and nothing of the connection.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use crate::connection::Answer;
use crate::ordering::Ending;
use crate::requests::Requests;
use crate::run::{Leave, Left, Run, Take};

pub(crate) const WORKERS: usize = 3;

/// What goes to the loop. Pushes are bytes not framed yet.
#[derive(Debug)]
pub(crate) enum Mail {
    Answer(Answer),
    Late(Answer),
    Push(Vec<u8>),
    Stalled,
    Left,
}

/// Numbers that decide whatever is open; once they are used up, always 0, which gets things done.
#[derive(Debug)]
pub(crate) struct Choices {
    values: Vec<u16>,
    next: usize,
}

impl Choices {
    pub(crate) fn new(values: Vec<u16>) -> Self {
        Choices { values, next: 0 }
    }

    /// A number below `count`.
    pub(crate) fn pick(&mut self, count: usize) -> usize {
        let value = self.values.get(self.next).copied().unwrap_or(0);
        self.next += 1;
        usize::from(value) % count
    }

    /// One time in `count`, and never once they are used up.
    pub(crate) fn rarely(&mut self, count: usize) -> bool {
        self.pick(count) == count - 1
    }

    /// A reply, and how it ends.
    pub(crate) fn reply(&mut self, number: u64) -> (Vec<u8>, Ending) {
        let ending = match self.pick(60) {
            57 => Ending::Close,
            58 => Ending::Failed,
            59 => Ending::TooLarge,
            _ => Ending::Continue,
        };
        let len = match self.pick(20) {
            0..=2 => 0,
            3..=17 => 1 + self.pick(20),
            18 => 200 + self.pick(500),
            _ => 16 * 1024 + self.pick(500),
        };
        match ending {
            Ending::Continue | Ending::Close => (pattern(number as u8, len), ending),
            Ending::Failed | Ending::TooLarge => (Vec::new(), ending),
        }
    }

    /// What somebody pushes.
    pub(crate) fn push(&mut self) -> Vec<u8> {
        let len = if self.pick(3) == 2 { 500 + self.pick(300) } else { 1 + self.pick(20) };
        pattern(0x80 | self.pick(128) as u8, len)
    }
}

/// Bytes of which each place of each message differs from its neighbours.
fn pattern(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|place| seed.wrapping_mul(31).wrapping_add(place as u8)).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Outside,
    InRequest,
    /// Its request is answered later, and its callback has not returned.
    Deferring,
    /// It has yet to post, then to leave.
    Leaving(Leave),
    Posted(Leave),
}

#[derive(Debug)]
struct Worker {
    place: Place,
    run: Option<Arc<Run<()>>>,
    batch: Requests,
    /// The request that it is in, and the bytes of it.
    number: u64,
    request_bytes: usize,
    unposted: Option<Answer>,
}

/// A promise to answer later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    pub(crate) number: u64,
    pub(crate) request_bytes: usize,
}

/// The workers, and what they share with others.
#[derive(Debug)]
pub(crate) struct Crew {
    serial: bool,
    high_bytes: usize,
    pub(crate) queue: VecDeque<Arc<Run<()>>>,
    workers: Vec<Worker>,
    pub(crate) mail: VecDeque<Mail>,
    pub(crate) promises: Vec<Promise>,
    /// Deferred requests whose answers the loop has not had.
    pub(crate) blocked: usize,
    /// Finished replies and unsent output, in bytes.
    pub(crate) due_bytes: usize,
    /// Whether the connection has ended.
    pub(crate) ended: bool,
}

impl Crew {
    pub(crate) fn new(serial: bool, high_bytes: usize) -> Self {
        let worker = || Worker {
            place: Place::Outside,
            run: None,
            batch: Requests::default(),
            number: 0,
            request_bytes: 0,
            unposted: None,
        };
        Crew {
            serial,
            high_bytes,
            queue: VecDeque::new(),
            workers: std::iter::repeat_with(worker).take(WORKERS).collect(),
            mail: VecDeque::new(),
            promises: Vec::new(),
            blocked: 0,
            due_bytes: 0,
            ended: false,
        }
    }

    pub(crate) fn inside(&self) -> usize {
        self.workers.iter().filter(|worker| worker.place != Place::Outside).count()
    }

    /// Nothing is left to do but what others bring.
    pub(crate) fn is_quiet(&self) -> bool {
        self.inside() == 0 && self.queue.is_empty() && self.mail.is_empty() && self.promises.is_empty()
    }

    /// One step of one worker. `requests` are the payloads that the connection began.
    pub(crate) fn step(&mut self, index: usize, requests: &[Vec<u8>], choices: &mut Choices) {
        match self.workers[index].place {
            Place::Outside => self.take(index, requests),
            Place::InRequest => match choices.pick(10) {
                8 => self.push(index, choices),
                9 => {
                    let Worker { number, request_bytes, .. } = self.workers[index];
                    self.workers[index].place = Place::Deferring;
                    self.promises.push(Promise { number, request_bytes });
                    self.blocked += 1;
                }
                _ => {
                    let (bytes, ending) = choices.reply(self.workers[index].number);
                    self.answer(index, bytes, ending);
                    self.go_on(index, ending, requests, choices);
                }
            },
            Place::Deferring if choices.rarely(12) => {
                self.answer(index, Vec::new(), Ending::Failed);
                self.workers[index].place = Place::Leaving(Leave::Last);
            }
            Place::Deferring => self.workers[index].place = Place::Leaving(Leave::Deferred),
            Place::Leaving(how) => {
                self.post(index);
                self.workers[index].place = Place::Posted(how);
            }
            Place::Posted(how) => self.leave(index, how),
        }
    }

    fn take(&mut self, index: usize, requests: &[Vec<u8>]) {
        let Some(run) = self.queue.pop_front() else { return };
        let others = self.workers.iter().any(|worker| worker.place != Place::Outside);
        let taken = run.take(&mut self.workers[index].batch);
        match taken.what {
            Take::Begin { number } => {
                assert!(!self.ended, "no request of an ended connection begins");
                assert!(!self.serial || !others, "in SERIAL one worker at a time");
                self.workers[index].run = Some(run);
                self.workers[index].number = number;
                self.begin(index, requests);
            }
            Take::Stalled => self.mail.push_back(Mail::Stalled),
            Take::Nothing => {}
        }
    }

    fn begin(&mut self, index: usize, requests: &[Vec<u8>]) {
        assert!(self.due_bytes < self.high_bytes, "no request begins while what is due stands at the high mark");
        assert!(!self.serial || self.blocked == 0, "in SERIAL the next request waits for a deferred reply");
        let worker = &mut self.workers[index];
        let payload = worker.batch.pop().expect("a worker begins what is there");
        assert_eq!(payload, requests[worker.number as usize], "request {}", worker.number);
        worker.request_bytes = payload.len();
        worker.place = Place::InRequest;
    }

    /// The callback pushes to its own connection: what is finished leaves first.
    fn push(&mut self, index: usize, choices: &mut Choices) {
        self.post(index);
        let bytes = choices.push();
        if !self.ended {
            self.mail.push_back(Mail::Push(bytes));
        }
    }

    fn answer(&mut self, index: usize, bytes: Vec<u8>, ending: Ending) {
        let Worker { run, number, request_bytes, unposted, .. } = &mut self.workers[index];
        run.as_ref().expect("a worker in a request has a run").add_due(bytes.len());
        self.due_bytes += bytes.len();
        if let Some(answer) = unposted {
            answer.count += 1;
            answer.request_bytes += *request_bytes;
            answer.bytes.extend(bytes);
            answer.ending = ending;
        } else {
            let (first, request_bytes) = (*number, *request_bytes);
            *unposted = Some(Answer { first, count: 1, request_bytes, bytes, ending });
        }
    }

    fn go_on(&mut self, index: usize, ending: Ending, requests: &[Vec<u8>], choices: &mut Choices) {
        let worker = &mut self.workers[index];
        let held = worker.run.as_ref().is_some_and(|run| run.is_held());
        if ending != Ending::Continue {
            worker.place = Place::Leaving(Leave::Last);
        } else if worker.batch.is_empty() || self.ended {
            worker.place = Place::Leaving(Leave::Free);
        } else if held {
            worker.place = Place::Leaving(Leave::Stalled);
        } else if choices.rarely(6) {
            worker.place = Place::Leaving(Leave::Free);
        } else {
            worker.number += 1;
            if choices.rarely(4) {
                self.post(index);
            }
            self.begin(index, requests);
        }
    }

    fn post(&mut self, index: usize) {
        if let Some(answer) = self.workers[index].unposted.take() {
            self.mail.push_back(Mail::Answer(answer));
        }
    }

    fn leave(&mut self, index: usize, how: Leave) {
        let worker = &mut self.workers[index];
        worker.place = Place::Outside;
        let run = mem::take(&mut worker.run).expect("a worker that leaves has a run");
        match run.leave(&mut worker.batch, worker.number + 1, how) {
            Left::Done => {}
            Left::Again => self.queue.push_back(run),
            Left::Stalled => self.mail.push_back(Mail::Stalled),
            Left::LastOfEnded => self.mail.push_back(Mail::Left),
        }
    }

    /// Somebody keeps a promise.
    pub(crate) fn keep(&mut self, index: usize, choices: &mut Choices) {
        if self.promises.is_empty() {
            return;
        }
        let Promise { number, request_bytes } = self.promises.remove(index % self.promises.len());
        let (bytes, ending) = choices.reply(number);
        if !self.ended {
            self.mail.push_back(Mail::Late(Answer { first: number, count: 1, request_bytes, bytes, ending }));
        }
    }
}
