//! What a connection under test runs its requests by, inline or with simulated workers, each request told to the model;
//! and a server that has no loops. Knows nothing of turns.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use crate::budget::Budget;
use crate::connection::{Begun, Connection, Host, Rules};
use crate::connection_model::Model;
use crate::framing_properties::custom_end;
use crate::handler::FrameEnd;
use crate::ordering::Ending;
use crate::requests::Requests;
use crate::run::{Run, Schedule};
use crate::shared::{Presence, Progress, Shared};
use crate::stop::StopSignal;
use crate::worker_simulation::{Choices, Promise};

/// A server of no loops: what pushes and rules need.
pub(crate) fn server(rules: Rules) -> Arc<Shared> {
    Arc::new(Shared {
        budget: Budget::new(rules.config.memory_limit_bytes),
        rules,
        local_address: String::new(),
        loops: vec![],
        main: None,
        workers: vec![],
        farewell: Progress::default(),
        accept_errors: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        stop: StopSignal::new().expect("a pair of sockets"),
        presence: Arc::new(Presence::default()),
        loops_left: AtomicU64::new(0),
    })
}

/// Runs requests at once, or makes promises.
pub(crate) struct Inline<'a> {
    pub(crate) model: &'a mut Model,
    pub(crate) choices: &'a mut Choices,
    pub(crate) promises: &'a mut Vec<Promise>,
}

impl Host for Inline<'_> {
    fn frame_end(&mut self, bytes: &[u8], _seen: usize) -> FrameEnd {
        custom_end(bytes)
    }

    fn request(&mut self, number: u64, payload: &[u8], output: &mut Vec<u8>) -> Begun {
        self.model.begin(number, payload);
        let promise = Promise { number, request_bytes: payload.len() };
        let (reply, ending) = match self.choices.pick(80) {
            0..=59 => self.choices.reply(number),
            60..=78 => {
                self.promises.push(promise);
                self.model.later(payload, false);
                return Begun::Pending;
            }
            _ => {
                // It fails, and the promise is kept all the same.
                self.promises.push(promise);
                (Vec::new(), Ending::Failed)
            }
        };
        let pushed = if self.choices.rarely(6) { self.choices.push() } else { Vec::new() };
        output.extend_from_slice(&pushed);
        output.extend_from_slice(&reply);
        self.model.at_once(payload, &pushed, &reply, ending);
        if pushed.is_empty() { Begun::Answered(ending) } else { Begun::AnsweredAfter(pushed.len(), ending) }
    }
}

/// Hands requests over to the workers.
pub(crate) struct Pooled<'a> {
    pub(crate) model: &'a mut Model,
    pub(crate) run: &'a Arc<Run<()>>,
    pub(crate) raw: bool,
    pub(crate) batch: Requests,
    pub(crate) queue: &'a mut VecDeque<Arc<Run<()>>>,
}

impl Host for Pooled<'_> {
    fn frame_end(&mut self, bytes: &[u8], _seen: usize) -> FrameEnd {
        custom_end(bytes)
    }

    fn request(&mut self, number: u64, payload: &[u8], _output: &mut Vec<u8>) -> Begun {
        let mut joined = false;
        if self.raw {
            let (has_joined, schedule) = self.run.push_raw(Instant::now(), payload);
            joined = has_joined;
            enqueue(self.queue, self.run, schedule);
        } else {
            self.batch.push(payload);
        }
        // Bytes that join begin no request of their own.
        if !joined {
            self.model.begin(number, payload);
        } else {
            self.model.join(payload);
        }
        self.model.later(payload, joined);
        if joined { Begun::Joined } else { Begun::Pending }
    }
}

/// Puts the run into the workers' queue as often as it asks.
pub(crate) fn enqueue(queue: &mut VecDeque<Arc<Run<()>>>, run: &Arc<Run<()>>, schedule: Schedule) {
    match schedule {
        Schedule::Enqueue(times) => queue.extend(std::iter::repeat_n(run, times).map(Arc::clone)),
        Schedule::Nothing => {}
    }
}

/// Bytes that were read, or what waits in the connection.
pub(crate) fn give_to(conn: &mut Connection, rules: &Rules, bytes: Option<&[u8]>, host: &mut impl Host) {
    match bytes {
        Some(bytes) => conn.input(rules, 0, bytes, host),
        None => conn.advance(rules, 0, host),
    }
}
