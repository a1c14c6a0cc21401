//! A connection between a peer and a handler that a test steps: it has its turns as `event_loop/turn.rs` gives them, its
//! mail, and a socket that takes and gives as little as it likes. Every step is told to the model, which checks it.

use std::io::IoSlice;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use crate::conn_id::ConnId;
use crate::connection::{Answer, Connection, Rules, Status};
use crate::connection_model::Model;
use crate::connection_properties::Step;
use crate::framing_properties::Rest;
use crate::handler::CloseReason;
use crate::ordering::Ending;
use crate::push::Push;
use crate::requests::Requests;
use crate::run::Run;
use crate::shared::Shared;
use crate::simulated_hosts::{Inline, Pooled, enqueue, give_to, server};
use crate::worker_simulation::{Choices, Crew, Mail, WORKERS};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) shared: Arc<Shared>,
    pub(crate) conn: Connection,
    pub(crate) model: Model,
    choices: Choices,
    crew: Crew,
    room_bytes: usize,
    headroom_bytes: usize,
    budget_bytes: usize,
    stream: Vec<u8>,
    arrived: usize,
    /// Bytes that the socket has given.
    taken: usize,
    fin: bool,
    reset: bool,
    readable: bool,
    hung_up: bool,
    write_blocked: bool,
    queued: bool,
    short: bool,
    waits_for_memory: bool,
    run: Option<Arc<Run<()>>>,
    spare_run: Option<Arc<Run<()>>>,
    run_stalled: bool,
    output: Vec<u8>,
    /// The socket is closed.
    closed: bool,
    /// A worker was in a request when that happened.
    left_due: bool,
    forgotten: bool,
}

impl Driver {
    pub(crate) fn new(rules: Rules, stream: Vec<u8>, sizes: [usize; 3], values: Vec<u16>) -> Self {
        let shared = server(rules);
        let rules = &shared.rules;
        let [room_bytes, headroom_bytes, budget_bytes] = sizes;
        Driver {
            conn: Connection::new(0),
            model: Model::new(rules, stream.clone()),
            choices: Choices::new(values),
            crew: Crew::new(rules.is_serial(), rules.config.output_high_bytes),
            room_bytes,
            headroom_bytes,
            budget_bytes,
            stream,
            arrived: 0,
            taken: 0,
            fin: false,
            reset: false,
            readable: false,
            hung_up: false,
            write_blocked: false,
            queued: false,
            short: false,
            waits_for_memory: false,
            run: None,
            spare_run: None,
            run_stalled: false,
            output: Vec::with_capacity(room_bytes),
            closed: false,
            left_due: false,
            forgotten: false,
            shared,
        }
    }

    // ---- What happens ----------------------------------------------------------------------------------------------

    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::Worker(index) => self.crew.step(index % WORKERS, &self.model.requests, &mut self.choices),
            Step::Keep(index) => self.crew.keep(*index, &mut self.choices),
            Step::Mail(count) => {
                for _ in 0..*count {
                    let Some(mail) = self.crew.mail.pop_front() else { break };
                    self.on_mail(mail);
                }
            }
            Step::Short(short) => {
                self.short = *short;
                if !short && mem::take(&mut self.waits_for_memory) {
                    self.queued = true;
                }
            }
            _ if self.closed => {}
            Step::Arrive(count) => {
                self.arrived = self.stream.len().min(self.arrived + if self.fin { 0 } else { *count });
                self.readable = true;
                self.turn();
            }
            Step::Fin => {
                (self.fin, self.readable, self.hung_up) = (true, true, true);
                self.turn();
            }
            Step::Reset => {
                (self.reset, self.readable, self.hung_up) = (true, true, true);
                if !self.conn.wants_read(&self.shared.rules) {
                    self.cut(CloseReason::Reset);
                }
                self.turn();
            }
            Step::Writable => {
                self.write_blocked = false;
                self.turn();
            }
            Step::Turn if mem::take(&mut self.queued) => self.turn(),
            Step::Turn => {}
            Step::Push => {
                let bytes = self.choices.push();
                self.crew.mail.push_back(Mail::Push(bytes));
            }
            Step::Close(stop) => self.close(if *stop { CloseReason::Shutdown } else { CloseReason::Local }),
            Step::Abort => {
                self.cut(CloseReason::Local);
                self.queued = true;
            }
            Step::Rest => self.rest(),
        }
        if !self.closed {
            self.model.check(&self.conn);
        }
    }

    fn close(&mut self, reason: CloseReason) {
        self.conn.close(reason, 0);
        if !self.conn.is_lingering() && self.model.ended.is_none() {
            self.model.closed.get_or_insert(reason);
        }
        self.queued = true;
    }

    fn cut(&mut self, reason: CloseReason) {
        if self.conn.status() == Status::Cut {
            return;
        }
        let lingers = self.conn.is_lingering();
        let requests = if self.model.ended.is_some() || lingers { 0 } else { self.model.open.len() as u64 };
        let unsent_bytes = self.conn.unsent_bytes() as u64;
        self.conn.cut(reason, 0);
        let abandoned = self.conn.abandoned();
        assert_eq!((abandoned.requests, abandoned.unsent_bytes), (requests, unsent_bytes));
        if self.model.ended.is_none() {
            let open_bytes = self.model.open_bytes();
            assert_eq!(self.conn.memory_bytes(), open_bytes, "what was cut holds nothing but what workers have");
        }
        if !lingers {
            self.model.cut = Some(reason);
        }
    }

    /// Now and then: as `check_rest` and `settle_down`.
    fn rest(&mut self) {
        let quiet = self.conn.in_flight() == 0;
        if let Some(run) = self.run.take_if(|run| quiet && Arc::get_mut(run).is_some()) {
            self.spare_run = Some(run);
        }
        let busy = self.run.is_some()
            || self.readable
            || self.hung_up
            || self.write_blocked
            || self.queued
            || self.waits_for_memory
            || self.conn.memory_bytes() + self.conn.unsent_bytes() > 0;
        if let Some(at_rest) = self.conn.at_rest().filter(|_| !busy) {
            self.conn = Connection::awake(at_rest);
        }
    }

    fn on_mail(&mut self, mail: Mail) {
        match mail {
            Mail::Left => {
                assert!(mem::take(&mut self.left_due), "the last worker left, and nobody waited for it");
                self.forgotten = true;
            }
            Mail::Answer(_) | Mail::Late(_) | Mail::Push(_) | Mail::Stalled if self.closed => {}
            Mail::Answer(answer) => self.on_answer(answer, false),
            Mail::Late(answer) => self.on_answer(answer, true),
            Mail::Stalled => {
                self.run_stalled = true;
                self.queued = true;
            }
            Mail::Push(bytes) => {
                let push = Push::new(&self.shared, &bytes[..bytes.len().min(self.shared.rules.message_limit_bytes)]);
                self.conn.push(&self.shared.rules, 0, &push);
                self.model.push(&push);
                if let Some(run) = &self.run {
                    run.add_due(push.len());
                    self.crew.due_bytes += push.len();
                }
                self.queued = true;
            }
        }
    }

    fn on_answer(&mut self, answer: Answer, late: bool) {
        let rules = &self.shared.rules;
        if late {
            self.crew.blocked = self.crew.blocked.saturating_sub(1);
        }
        if let Some(run) = self.run.as_ref().filter(|_| late) {
            run.add_due(answer.bytes.len());
            self.crew.due_bytes += answer.bytes.len();
            if answer.ending != Ending::Continue {
                run.stop();
            } else if rules.is_serial() {
                enqueue(&mut self.crew.queue, run, run.unblock());
            }
        }
        self.model.reply(&answer);
        self.conn.reply(rules, 0, answer);
        self.queued = true;
    }

    // ---- A turn ----------------------------------------------------------------------------------------------------

    fn turn(&mut self) {
        if self.closed {
            return;
        }
        self.conn.lend_output(&mut self.output);
        let mut budget = self.budget_bytes;
        loop {
            let shared = Arc::clone(&self.shared);
            let rules = &shared.rules;
            if self.readable && budget > 0 && self.conn.wants_read(rules) && self.may_read() {
                budget = budget.saturating_sub(self.read());
            } else if budget > 0 && self.conn.wants_advance(rules) {
                budget = budget.saturating_sub(4);
                self.give(None);
            } else if !self.write_blocked && self.conn.wants_write() {
                self.write();
            } else {
                break;
            }
            self.model.check(&self.conn);
        }
        self.settle();
    }

    fn may_read(&mut self) -> bool {
        let may = !self.short || self.conn.is_lingering();
        self.waits_for_memory |= !may;
        may
    }

    fn read(&mut self) -> usize {
        let mut headroom = vec![0; self.headroom_bytes];
        let partial = self.conn.lend_partial(&mut headroom);
        headroom.truncate(partial);
        let len = self.room_bytes.min(self.arrived - self.taken);
        let interrupted = self.choices.rarely(8);
        if interrupted || self.reset || len == 0 {
            self.conn.keep_partial(&headroom);
            if interrupted {
                return 0;
            }
            self.readable = false;
            if self.reset {
                self.cut(CloseReason::Reset);
            } else if self.fin {
                self.model.fin_read |= !self.conn.is_lingering();
                self.conn.end_of_input();
            } else {
                self.hung_up = false;
            }
            return 0;
        }
        self.readable = len == self.room_bytes || self.hung_up;
        headroom.extend_from_slice(&self.stream[self.taken..self.taken + len]);
        self.taken += len;
        if !self.conn.is_lingering() {
            self.model.read = self.taken;
        }
        self.give(Some(&headroom));
        len
    }

    /// Bytes that were read, or what waits in the connection.
    fn give(&mut self, bytes: Option<&[u8]>) {
        let rules = &self.shared.rules;
        if rules.config.workers == 0 {
            let Driver { model, choices, crew, conn, .. } = self;
            let mut host = Inline { model, choices, promises: &mut crew.promises };
            return give_to(conn, rules, bytes, &mut host);
        }
        self.attach_run();
        let rules = &self.shared.rules;
        let Driver { model, crew, conn, run, .. } = self;
        let Some(run) = run else { return };
        let mut host =
            Pooled { model, run, raw: rules.framer.is_raw(), batch: Requests::default(), queue: &mut crew.queue };
        give_to(conn, rules, bytes, &mut host);
        if !host.batch.is_empty() {
            let schedule = run.push(Instant::now(), &mut host.batch);
            enqueue(&mut crew.queue, run, schedule);
        }
    }

    fn attach_run(&mut self) {
        if self.run.is_none() {
            let config = &self.shared.rules.config;
            let raw_max_bytes = self.shared.rules.framer.is_raw().then_some(config.max_frame_bytes);
            let new = || Arc::new(Run::new(self.shared.rules.is_serial(), raw_max_bytes, config.output_high_bytes));
            let run = self.spare_run.take().unwrap_or_else(new);
            run.assign(ConnId::new(0, 7, 1), (), self.conn.next_request(), self.conn.due_bytes());
            self.crew.due_bytes = self.model.due_bytes();
            self.run = Some(run);
            self.run_stalled = false;
        }
    }

    fn write(&mut self) {
        let bytes = if let Some(bytes) = self.conn.single_output() {
            bytes.to_vec()
        } else {
            let mut slices = [IoSlice::new(&[]); 4];
            let filled = self.conn.output(&mut slices);
            slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect()
        };
        let count = match self.choices.pick(40) {
            0..=19 => bytes.len(),
            20..=29 => bytes.len().min(1 + self.choices.pick(40)),
            30..=33 => 1 + self.choices.pick(bytes.len()),
            34..=36 => return,
            37 if self.choices.rarely(10) => return self.cut(CloseReason::Reset),
            _ => {
                self.write_blocked = true;
                return;
            }
        };
        self.write_blocked = count < bytes.len();
        self.conn.wrote(&self.shared.rules, 0, count);
        self.model.wrote(&bytes[..count]);
        if let Some(run) = &self.run {
            run.sent(count);
            self.crew.due_bytes -= count;
        }
    }

    fn settle(&mut self) {
        let rules = &self.shared.rules;
        self.conn.take_back_output(&mut self.output);
        if self.output.capacity() == 0 {
            self.output.reserve(self.room_bytes);
        }
        if self.run_stalled
            && !self.conn.is_held()
            && let Some(run) = &self.run
        {
            self.run_stalled = false;
            enqueue(&mut self.crew.queue, run, run.resume());
        }
        self.conn.pause(rules, 0, self.waits_for_memory);
        if self.model.is_idle() {
            assert_eq!(self.conn.memory_bytes(), 0, "an idle connection holds nothing");
        }
        match self.conn.status() {
            Status::Open => {
                let more = self.readable && !self.waits_for_memory && self.conn.wants_read(rules);
                self.queued |= more || self.conn.wants_advance(rules);
            }
            Status::Finished { linger: true } => {
                self.conn.linger(0);
                self.model.lingers = true;
                self.readable = true;
                self.queued = true;
            }
            Status::Finished { linger: false } | Status::Cut => self.end(),
        }
    }

    fn end(&mut self) {
        self.closed = true;
        self.crew.ended = true;
        self.model.check_end(self.conn.reason().0);
        let busy = self.run.as_ref().is_some_and(|run| run.end());
        assert_eq!(busy, self.crew.inside() > 0, "the run says whether a worker is in a request");
        self.left_due = busy;
        self.forgotten = !busy;
    }

    // ---- The end ---------------------------------------------------------------------------------------------------

    /// All that is left takes its course, and there is no more of it than so.
    fn run_dry(&mut self) {
        for _round in 0..20_000 {
            let left = self.arrived < self.stream.len() && !self.fin;
            let writes = self.write_blocked && self.conn.wants_write();
            let quiet = self.crew.is_quiet() && (self.closed || !(self.queued || left || writes || self.short));
            if quiet {
                return;
            }
            self.step(&Step::Short(false));
            if left {
                self.step(&Step::Arrive(30));
            }
            for index in 0..WORKERS {
                self.step(&Step::Worker(index));
            }
            self.step(&Step::Keep(0));
            self.step(&Step::Mail(usize::MAX));
            if writes {
                self.step(&Step::Writable);
            }
            self.step(&Step::Turn);
        }
        panic!("it goes on for ever");
    }

    /// However it began: it answers what there is and is idle, and ends with its peer.
    pub(crate) fn finish(&mut self) {
        self.run_dry();
        let lives = self.model.ended.is_none() && self.model.cut.is_none() && self.model.closed.is_none();
        if lives && !self.model.fin_read && self.model.rest().1 == Rest::Partial {
            assert!(!self.closed && self.conn.wants_read(&self.shared.rules), "it is stuck");
            assert_eq!(self.model.read, self.arrived, "it reads all there is");
            self.model.check_all_answered();
            self.step(&Step::Rest);
            self.step(&Step::Push);
            self.run_dry();
        }
        self.step(&Step::Fin);
        self.run_dry();
        assert!(self.closed && self.forgotten && !self.left_due, "it is stuck at its end");
    }
}
