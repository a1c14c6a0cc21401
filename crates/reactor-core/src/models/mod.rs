//! Models of the queues between threads, run through every interleaving by loom: `cargo xtask loom`. Each drives the real
//! code; see [`crate::sync`] for what loom stands in for. Knows nothing of sockets.

mod deferred;
mod mailbox;
mod pool;
mod run;
mod stop;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use loom::model::Builder;

use crate::budget::Budget;
use crate::connection::Rules;
use crate::mailbox::Mailbox;
use crate::options::{Framing, Mode, Options, Order};
use crate::shared::{LoopShared, Message, Presence, Progress, Shared};
use crate::stop::StopSignal;
use crate::sync::Waker;

/// Runs a model; `preemptions`: how often at most a thread is interrupted where it need not stop. Few find nearly all
/// faults there are (Musuvathi and Qadeer, PLDI 2007), and all interleavings of the larger models would take for ever.
fn explore(preemptions: Option<usize>, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 20_000;
    builder.check(model);
}

/// A server of one loop that nobody runs.
fn server(workers: u32) -> (Arc<Shared>, Waker) {
    let mut options = Options::new();
    options.set_order(Order::Serial).set_workers(workers).expect("valid");
    options.set_framing(Framing::Fixed(1)).expect("valid");
    let rules = Rules::new(options.check(Mode::Pooled).expect("valid"));
    let waker = Waker::new();
    let shared = Shared {
        budget: Budget::new(rules.config.memory_limit_bytes),
        rules,
        local_address: String::new(),
        loops: vec![LoopShared::new(Mailbox::<Message>::new(waker.clone()))],
        main: None,
        workers: std::iter::repeat_with(Progress::default).take(workers as usize).collect(),
        farewell: Progress::default(),
        accept_errors: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        stop: StopSignal::new().expect("a pair of sockets"),
        presence: Arc::new(Presence::default()),
        loops_left: AtomicU64::new(1),
    };
    (Arc::new(shared), waker)
}
