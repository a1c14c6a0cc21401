//! Owns the turn of the world: whenever the loop polls, clients, workers and others take their steps, until the loop has
//! something to do. Once the plan is through all that is left takes its course, and it is checked that it does.

use std::cell::RefCell;
use std::io;

use crate::listener::backlog;
use crate::shared::Shared;
use crate::simulation::clock;
use crate::simulation::dice::{self, pick};
use crate::simulation::net::{self, Readiness};
use crate::simulation::plan::{Step, What};
use crate::simulation::poller::{event::Event, is_rung, take_rung};
use crate::simulation::story::tell;
use crate::simulation::user;
use crate::simulation::world::{self, fail};
use crate::workers::Stage;
use std::sync::Arc;

/// More polls than any run needs.
const MOST_POLLS: u32 = 30_000;
/// Accepting resumes within so many milliseconds of a descriptor that is freed: R8 of the promises allows 200.
const ACCEPT_WITHIN_MS: u64 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The plan.
    Plan,
    /// All that is open takes its course, and what was sent is answered.
    Drying,
    /// The clients finish.
    Ending,
    /// The server is stopped.
    Stopping,
}

pub(crate) struct Driver {
    steps: Vec<Step>,
    next: usize,
    phase: Phase,
    polls: u32,
    steps_taken: u32,
    pub(crate) shared: Arc<Shared>,
    pub(crate) workers: Option<Box<dyn Stage>>,
    /// Since when a client could be accepted and was not.
    accept_since_ms: Option<u64>,
}

thread_local! {
    static DRIVER: RefCell<Option<Driver>> = const { RefCell::new(None) };
}

impl Driver {
    pub(crate) fn new(steps: Vec<Step>, shared: Arc<Shared>, workers: Option<Box<dyn Stage>>) -> Driver {
        Driver { steps, next: 0, phase: Phase::Plan, polls: 0, steps_taken: 0, shared, workers, accept_since_ms: None }
    }

    /// What happens while the loop polls.
    fn poll(&mut self, events: &mut Vec<Event>, timeout_ms: Option<u64>) {
        net::with(net::Net::polled);
        self.polls += 1;
        if self.polls > MOST_POLLS {
            fail("it goes on for ever".to_owned());
        }
        self.check();
        world::with(|world| world.polling = true);
        let began_ms = clock::now_ms();
        let until_ms = timeout_ms.map(|timeout_ms| began_ms + timeout_ms);
        let mut waited = false;
        // A loop that does not sleep sees what has happened meanwhile.
        let mut steps = if timeout_ms == Some(0) { pick(2) } else { usize::MAX };
        loop {
            if is_rung() || (steps != usize::MAX && steps == 0) || waited {
                break;
            }
            if timeout_ms != Some(0) && self.has_events() && pick(3) < 2 {
                break;
            }
            steps = steps.saturating_sub(1);
            self.steps_taken += 1;
            if self.steps_taken > MOST_POLLS {
                fail("the world goes on for ever".to_owned());
            }
            if world::with(|world| world.failure.is_some()) {
                break;
            }
            waited = self.step(until_ms);
        }
        // A loop that does not sleep has more to do, and what was short in its last turn is so until the next one.
        self.passed(timeout_ms == Some(0) && clock::now_ms() > began_ms);
        world::with(|world| world.polling = false);
        if take_rung() {
            events.push(Event(Readiness { token: usize::MAX, readable: true, ..Readiness::default() }));
        }
        self.collect(events);
        if world::with(|world| world.failure.is_some()) {
            std::panic::resume_unwind(Box::new("the first broken promise ends the run"));
        }
    }

    fn has_events(&self) -> bool {
        let count = world::with(|world| world.clients.len());
        backlog(|backlog| backlog.edge) || net::with(|net| (0..count).any(|client| net.has_event(client)))
    }

    /// The events there are, or some of them.
    fn collect(&self, events: &mut Vec<Event>) {
        if backlog(|backlog| std::mem::replace(&mut backlog.edge, false) && backlog.open) {
            events.push(Event(Readiness { token: usize::MAX - 1, readable: true, ..Readiness::default() }));
        }
        let count = world::with(|world| world.clients.len());
        let from = pick(count);
        net::with(|net| {
            for place in 0..count {
                let client = (from + place) % count;
                if let Some(readiness) = net.event(client) {
                    events.push(Event(readiness));
                }
            }
        });
    }

    /// One step of the world; says whether the loop's timeout has passed.
    fn step(&mut self, until_ms: Option<u64>) -> bool {
        if let Some(step) = self.steps.get(self.next).copied().filter(|_| self.phase == Phase::Plan) {
            self.next += 1;
            dice::throw(step.seed, step.calm);
            return self.act(step.what, until_ms);
        }
        dice::throw(0, true);
        if self.phase == Phase::Plan {
            tell(|| "the plan is through: all that is left takes its course".to_owned());
            self.phase = Phase::Drying;
        }
        if self.goes_on() || is_rung() {
            return false;
        }
        if self.has_events() {
            // The loop is told first.
            return true;
        }
        // The loop itself has something to do.
        if until_ms.is_some_and(|until_ms| until_ms <= clock::now_ms()) {
            return true;
        }
        let waits = self.accept_since_ms.is_some() && backlog(|backlog| backlog.open);
        if waits && let Some(until_ms) = until_ms {
            return self.wait(u64::MAX, Some(until_ms));
        }
        self.next_phase(until_ms)
    }

    /// All that is left takes its course; says whether there was any.
    fn goes_on(&mut self) -> bool {
        let mut any = false;
        backlog(|backlog| any |= std::mem::replace(&mut backlog.exhausted, false));
        user::resume();
        let count = world::with(|world| world.clients.len());
        net::with(|net| {
            for client in 0..count {
                if net.wires[client].accepted && !net.wires[client].closed {
                    any |= net.arrive(client, usize::MAX) > 0;
                    if net.wires[client].room < 100_000 {
                        net.drain(client, 1_000_000);
                    }
                }
            }
        });
        while world::with(|world| !world.promises.is_empty()) {
            user::keep(0);
            any = true;
        }
        if let Some(workers) = &self.workers {
            for index in 0..4 {
                if !workers.is_quiet() {
                    workers.step(index);
                    any = true;
                }
            }
        }
        any
    }

    /// Nothing goes on by itself any more.
    fn next_phase(&mut self, until_ms: Option<u64>) -> bool {
        match self.phase {
            Phase::Plan | Phase::Drying => {
                self.check_rest();
                tell(|| "all clients finish".to_owned());
                let count = world::with(|world| world.clients.len());
                net::with(|net| {
                    for client in 0..count {
                        net.wires[client].fin = true;
                        net.touch(client);
                    }
                });
                self.phase = Phase::Ending;
            }
            Phase::Ending => {
                let open = net::with(|net| net.wires.iter().filter(|wire| wire.accepted && !wire.closed).count());
                if open > 0 {
                    fail(format!("{open} connections are stuck, and their clients have finished"));
                }
                self.act(What::Stop(1_000), until_ms);
                self.phase = Phase::Stopping;
            }
            Phase::Stopping => fail("the loop sleeps, and it was to stop".to_owned()),
        }
        false
    }

    /// Time passes, no more than the loop sleeps; says whether it wakes up.
    fn wait(&mut self, ms: u64, until_ms: Option<u64>) -> bool {
        let now_ms = clock::now_ms();
        match until_ms.filter(|until_ms| *until_ms <= now_ms.saturating_add(ms)) {
            Some(until_ms) => {
                // The system may be late.
                let late_ms = if dice::rarely(4) { pick(20) as u64 } else { 0 };
                clock::set(until_ms + late_ms);
                tell(|| format!("the loop wakes up by itself, {late_ms} ms late"));
                true
            }
            None => {
                clock::advance(ms);
                false
            }
        }
    }

    fn act(&mut self, what: What, until_ms: Option<u64>) -> bool {
        match what {
            What::Connect(client) => net::with(|net| {
                let wire = &mut net.wires[client];
                let waits = backlog(|backlog| backlog.clients.contains(&client));
                if !wire.accepted && !waits && backlog(|backlog| backlog.open) {
                    tell(|| format!("client {client} connects"));
                    wire.took_ms = clock::now_ms();
                    backlog(|backlog| {
                        backlog.clients.push_back(client);
                        backlog.edge = true;
                    });
                }
            }),
            What::Send(client, count) => net::with(|net| {
                let count = net.arrive(client, count);
                if count > 0 {
                    tell(|| format!("client {client} sends {count} bytes"));
                }
            }),
            What::Fin(client) => net::with(|net| {
                if !std::mem::replace(&mut net.wires[client].fin, true) {
                    tell(|| format!("client {client} finishes"));
                    net.touch(client);
                }
            }),
            What::Reset(client) => net::with(|net| {
                if net.wires[client].accepted && !std::mem::replace(&mut net.wires[client].reset, true) {
                    tell(|| format!("client {client} resets"));
                    net.touch(client);
                }
            }),
            What::Drain(client, count) => net::with(|net| {
                tell(|| format!("client {client} takes {count} bytes"));
                net.drain(client, count);
            }),
            What::Mark(client) => net::with(|net| {
                if net.wires[client].arrived > net.wires[client].taken {
                    tell(|| format!("client {client} has sent out-of-band bytes"));
                    net.mark(client);
                }
            }),
            What::Worker(index) => {
                if let Some(workers) = &self.workers {
                    workers.step(index);
                }
            }
            What::Keep(index) => user::keep(index),
            What::Push(client) => user::send(client),
            What::Broadcast => user::broadcast(),
            What::Close(client) => user::close(client),
            What::Abort(client) => user::abort(client),
            What::Resume => user::resume(),
            What::Wait(ms) => {
                tell(|| format!("{ms} ms pass"));
                return self.wait(ms, until_ms);
            }
            What::Exhaust(exhausted) => {
                tell(|| format!("descriptors have run out: {exhausted}"));
                backlog(|backlog| backlog.exhausted = exhausted);
            }
            What::Lose => backlog(|backlog| {
                if backlog.clients.pop_back().is_some() {
                    tell(|| "a client gives up before it is accepted".to_owned());
                    backlog.lost += 1;
                }
            }),
            What::Stop(drain_ms) => {
                tell(|| format!("a stop is asked for, {drain_ms} ms for the drain"));
                world::with(|world| world.stop(drain_ms));
                self.shared.request_stop(drain_ms);
            }
        }
        false
    }

    // ---- What is so --------------------------------------------------------------------------------------------

    /// The loop has read its mail and done what was to be done.
    fn check(&mut self) {
        let now_ms = clock::now_ms();
        let short = self.shared.budget.is_short();
        world::with(|world| {
            world.read_wires();
            if world.stop_ms.is_some_and(|stop_ms| now_ms >= stop_ms) {
                // The loop may have to wait for workers, and for nothing else.
                let open = net::with(|net| net.wires.iter().filter(|wire| wire.accepted && !wire.closed).count());
                let checked =
                    if open == 0 { Ok(()) } else { Err(format!("past the deadline {open} connections are open")) };
                world.failed(checked);
            }
            for number in 0..world.clients.len() {
                let client = &mut world.clients[number];
                client.settle_all();
                if client.opened_ms.is_none() || client.closed.is_some() {
                    continue;
                }
                // An answer without bytes is on no wire, and may still be with its worker.
                let held = self.workers.as_ref().is_some_and(|workers| workers.holds_an_answer(client.id));
                let checked = net::with(|net| {
                    let wire = &net.wires[number];
                    if wire.closed {
                        return Ok(());
                    }
                    client.was_busy = short || held || client.is_busy(&world.setup, wire);
                    client.busy_ms = if client.was_busy { now_ms } else { client.busy_ms };
                    client.check_time(&world.setup, wire, now_ms)
                });
                world.failed(checked);
            }
        });
        let waits =
            backlog(|backlog| backlog.open && !backlog.exhausted && !backlog.clients.is_empty() && !backlog.edge);
        self.accept_since_ms = waits.then(|| self.accept_since_ms.unwrap_or(now_ms));
        if self.accept_since_ms.is_some_and(|since_ms| now_ms > since_ms + ACCEPT_WITHIN_MS) {
            fail(format!("a client waits for {ACCEPT_WITHIN_MS} ms to be accepted"));
        }
    }

    /// So long the loop has slept, or was late: what kept time limits from running did so until now.
    fn passed(&self, late: bool) {
        let now_ms = clock::now_ms();
        world::with(|world| {
            for client in world.clients.iter_mut().filter(|client| late || client.was_busy) {
                client.busy_ms = now_ms;
            }
        });
    }

    /// Nothing is left to do: whoever is there has had all answers.
    fn check_rest(&self) {
        let short = self.shared.budget.is_short();
        world::with(|world| {
            for number in 0..world.clients.len() {
                let (client, setup) = (&world.clients[number], &world.setup);
                let checked = net::with(|net| {
                    let wire = &net.wires[number];
                    let lives = client.opened_ms.is_some() && client.closed.is_none();
                    if !lives || wire.write_shut || wire.closed || wire.reset {
                        return Ok(());
                    }
                    client.check_all_sent(wire)?;
                    if client.pushes_seen < client.pushes_due {
                        return Err(format!(
                            "{} of {} pushes to client {number} were sent",
                            client.pushes_seen, client.pushes_due
                        ));
                    }
                    if short || client.close_asked || world.stop_ms.is_some() {
                        return Ok(());
                    }
                    client.check_all_begun(setup, wire.taken)?;
                    if wire.taken < wire.arrived {
                        return Err(format!("{} bytes of client {number} are not read", wire.arrived - wire.taken));
                    }
                    Ok(())
                });
                world.failed(checked);
            }
        });
    }
}

/// A run is about to begin.
pub(crate) fn set(driver: Driver) {
    DRIVER.set(Some(driver));
}

/// The run is over; how many polls it had.
pub(crate) fn end() -> u32 {
    DRIVER.take().map_or(0, |driver| driver.polls)
}

/// The loop polls.
#[expect(clippy::unnecessary_wraps, reason = "as the real one")]
pub(crate) fn poll(events: &mut Vec<Event>, timeout_ms: Option<u64>) -> io::Result<()> {
    // Nothing that a step calls polls.
    DRIVER.with_borrow_mut(|driver| {
        if let Some(driver) = driver {
            driver.poll(events, timeout_ms);
        }
    });
    Ok(())
}
