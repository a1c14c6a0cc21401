//! The engine's own loop over a simulated network, clock and crew of workers: reading, framing, ordering, writing, time
//! limits, memory, slots, mail and stop are the real ones, in real callbacks and with real promises, and all that surrounds
//! them follows from a seed. [`model`] says what must be so.
//!
//! In unit tests `mio`, `socket2` and a part of `nix` are what this module brings (see the head of the crate), and the
//! listener, the threads, the pool's threads and the stop's clock are its own. What runs on several threads at once is not
//! shown here: `loom` has models of that.

pub(crate) mod clock;
pub(crate) mod dice;
mod driver;
mod model;
pub(crate) mod net;
pub(crate) mod os;
mod plan;
pub(crate) mod poller;
mod seeds;
mod shrink;
pub(crate) mod story;
mod user;
pub(crate) mod world;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::crew::take_play;
use crate::listener::{Backlog, backlog};
use crate::server::Server;
use crate::simulation::driver::Driver;
use crate::simulation::net::{Net, Wire};
use crate::simulation::plan::Plan;
use crate::simulation::user::User;
use crate::simulation::world::World;

thread_local! {
    /// A run is under way on this thread: what panics is its affair.
    static RUNNING: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What a run came to: the first promise that was broken, and the story, where one was asked for.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) failure: Option<String>,
    pub(crate) story: Vec<String>,
    pub(crate) polls: u32,
}

/// Carries out a plan.
pub(crate) fn run(plan: &Plan, told: bool) -> Outcome {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if RUNNING.get() {
                PANIC.set(Some(info.to_string()));
            } else {
                before(info);
            }
        }));
    });
    story::begin(told);
    clock::set(0);
    dice::throw(0, true);
    poller::take_rung();
    backlog(|backlog| *backlog = Backlog::default());
    net::with(|net| *net = Net::new(plan.clients.iter().map(|(stream, room)| Wire::new(stream, *room)).collect()));
    world::set(World::new(plan.setup.clone(), &plan.clients));
    RUNNING.set(true);
    PANIC.set(None);
    let result = catch_unwind(AssertUnwindSafe(|| serve(plan)));
    // What was left by a run that failed goes where it will.
    let _ = catch_unwind(|| drop(world::take_promises()));
    RUNNING.set(false);
    let polls = driver::end();
    let world = world::take();
    let broken = world.and_then(|world| world.failure);
    let panicked = result.err().map(|panic| PANIC.take().unwrap_or_else(|| message_of(panic.as_ref())));
    Outcome { failure: broken.or(panicked), story: story::end(), polls }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic of no message".to_owned())
}

fn serve(plan: &Plan) {
    let setup = &plan.setup;
    let server = Server::start("127.0.0.1:1", setup.mode(), &setup.options(), User).expect("a plan is valid");
    let play = take_play().expect("a server was started");
    driver::set(Driver::new(plan.steps.clone(), play.shared.clone(), play.workers));
    (play.run)();
    // A worker may still be in a request; it would leave after the loop has gone.
    dice::throw(0, true);
    drop(world::take_promises());
    check_end(&server, &play.shared);
    world::with(|world| world.handle = None);
}

/// The loop has ended: nothing may be left.
fn check_end(server: &Server, shared: &crate::shared::Shared) {
    let stats = server.stats(None).expect("there is one loop");
    let report = server.wait().expect("all threads have left").report;
    let checked = world::with(|world| {
        world.read_wires();
        if world.stop_ms.is_none() {
            return Err("the loop has ended, and nobody asked it to".to_owned());
        }
        for client in &world.clients {
            if client.opened_ms.is_some() && client.closed.is_none() {
                return Err(format!("client {} was never told closed", client.number));
            }
        }
        let opened = world.clients.iter().filter(|client| client.opened_ms.is_some()).count() as u64;
        let drained = report.connections_drained + report.connections_aborted;
        if drained > opened {
            return Err(format!("{drained} connections were drained, and {opened} were opened: {report:?}"));
        }
        Ok(())
    });
    let left = net::with(|net| net.wires.iter().filter(|wire| wire.accepted && !wire.closed).count());
    let checked = checked.and_then(|()| {
        let used_bytes = shared.budget.used_bytes();
        for (what, count) in [
            ("sockets are open", left as u64),
            ("bytes of memory are held", used_bytes as u64),
            ("connections are counted as open", stats.connections_open),
            ("requests are counted as in flight", stats.requests_in_flight),
        ] {
            if count != 0 {
                return Err(format!("the server has ended, and {count} {what}"));
            }
        }
        Ok(())
    });
    if let Err(story) = checked {
        world::fail(story);
    }
}
