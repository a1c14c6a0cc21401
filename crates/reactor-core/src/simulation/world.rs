//! Owns what a simulated run knows beside the network: the plan, the model of each client, promises to be kept, and the
//! first promise that was broken. The engine reaches it through callbacks, the driver by name.

use std::cell::RefCell;
use std::mem;

use crate::conn_id::ConnId;
use crate::deferred::Deferred;
use crate::handler::CloseReason;
use crate::ordering::Ending;
use crate::server::Handle;
use crate::simulation::clock;
use crate::simulation::model::{Client, Late, OPENING, Push, on_the_wire};
use crate::simulation::net;
use crate::simulation::plan::Setup;
use crate::simulation::story::tell;

/// A promise to answer later, and the message that was begun.
#[derive(Debug)]
pub(crate) struct Promise {
    pub(crate) deferred: Deferred,
    pub(crate) client: usize,
    pub(crate) number: u64,
    /// What of the message was given before it was deferred.
    pub(crate) begun: Vec<u8>,
    /// All of it.
    pub(crate) message: Vec<u8>,
    pub(crate) closes: bool,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) clients: Vec<Client>,
    pub(crate) pushes: Vec<Push>,
    pub(crate) promises: Vec<Promise>,
    pub(crate) handle: Option<Handle>,
    /// When the drain ends.
    pub(crate) stop_ms: Option<u64>,
    /// The callback that runs: whose request it is, and which.
    pub(crate) inside: Option<(usize, u64)>,
    /// The number that the next callback's request has, where a worker has begun it.
    pub(crate) worker_number: Option<u64>,
    /// The loop polls: what is posted now is the next that it reads.
    pub(crate) polling: bool,
    pub(crate) failure: Option<String>,
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Looks at the world, and changes it.
pub(crate) fn with<T>(look: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(|world| look(world.as_mut().expect("a run has begun")))
}

/// A run begins.
pub(crate) fn set(world: World) {
    WORLD.set(Some(world));
}

/// The run is over.
pub(crate) fn take() -> Option<World> {
    WORLD.take()
}

/// A promise was broken; the first counts.
pub(crate) fn fail(story: String) {
    tell(|| format!("BROKEN: {story}"));
    WORLD.with_borrow_mut(|world| {
        if let Some(world) = world {
            world.failure.get_or_insert(story);
        }
    });
}

impl World {
    pub(crate) fn new(setup: Setup, streams: &[(Vec<u8>, usize)]) -> World {
        let client = |(number, (stream, _)): (usize, &(Vec<u8>, usize))| Client::new(number, &setup, stream);
        World {
            clients: streams.iter().enumerate().map(client).collect(),
            setup,
            pushes: Vec::new(),
            promises: Vec::new(),
            handle: None,
            stop_ms: None,
            inside: None,
            worker_number: None,
            polling: false,
            failure: None,
        }
    }

    pub(crate) fn failed(&mut self, checked: Result<(), String>) {
        if let Err(story) = checked {
            tell(|| format!("BROKEN: {story}"));
            self.failure.get_or_insert(story);
        }
    }

    /// A push in the making: its number and its message.
    pub(crate) fn push(&mut self, to: Option<usize>, payload: &[u8]) -> usize {
        let wire = on_the_wire(&self.setup.framing, payload);
        let opening = self.inside.is_some_and(|(_, request)| request == OPENING);
        let inline = self.setup.workers == 0 || opening;
        self.pushes.push(Push { to, wire, within: self.inside, inline, accepted: true });
        self.pushes.len() - 1
    }

    /// Whether the engine took it.
    pub(crate) fn pushed(&mut self, number: usize, accepted: bool) {
        let push = &mut self.pushes[number];
        push.accepted = accepted;
        if let Some(to) = push.to.filter(|_| accepted) {
            self.clients[to].pushes_due += 1;
        }
    }

    pub(crate) fn answer(&mut self, client: usize, number: u64, payload: Option<&[u8]>, ending: Ending, late: Late) {
        let wire = payload.map(|payload| on_the_wire(&self.setup.framing, payload)).unwrap_or_default();
        tell(|| format!("request {number} of client {client} is answered: {} bytes, {ending:?}", wire.len()));
        self.clients[client].answer(number, wire, ending, late);
    }

    pub(crate) fn stop(&mut self, drain_ms: u32) {
        let deadline_ms = clock::now_ms() + u64::from(drain_ms);
        self.stop_ms = Some(self.stop_ms.map_or(deadline_ms, |earlier| earlier.min(deadline_ms)));
    }

    /// Understands all that was sent.
    pub(crate) fn read_wires(&mut self) {
        net::with(|net| {
            for number in 0..self.clients.len() {
                let read = self.clients[number].read_wire(&self.setup, &net.wires[number], &self.pushes);
                self.failed(read);
            }
        });
    }

    /// A worker, or the loop, begins a request.
    pub(crate) fn begin(&mut self, client: usize, number: Option<u64>, payload: &[u8]) -> u64 {
        let number = number.unwrap_or(self.clients[client].requests.len() as u64);
        tell(|| format!("request {number} of client {client} begins: {} bytes", payload.len()));
        let begun = net::with(|net| self.clients[client].begin(&self.setup, &net.wires[client], number, payload));
        self.failed(begun);
        number
    }

    /// The handler is told that a connection has ended.
    pub(crate) fn end(&mut self, client: usize, id: ConnId, reason: CloseReason) {
        tell(|| format!("client {client} is closed: {reason:?}"));
        self.read_wires();
        let World { setup, clients, stop_ms, .. } = self;
        let known = &mut clients[client];
        let ended = if known.id == id {
            net::with(|net| known.end(setup, &net.wires[client], reason, clock::now_ms(), *stop_ms))
        } else {
            Err(format!("client {client} is closed under another's id, {id}"))
        };
        self.failed(ended);
    }
}

/// A worker begins this request.
pub(crate) fn begin(conn: ConnId, number: u64, payload: &[u8]) {
    with(|world| match world.clients.iter().position(|client| client.id == conn) {
        Some(client) => {
            world.begin(client, Some(number), payload);
        }
        None => world.failed(Err(format!("a worker begins a request of {conn}, which is no connection"))),
    });
}

/// The callback that comes next runs this request, which a worker has begun.
pub(crate) fn set_worker_number(number: u64) {
    with(|world| world.worker_number = Some(number));
}

/// All promises, to be dropped outside the world.
pub(crate) fn take_promises() -> Vec<Promise> {
    with(|world| mem::take(&mut world.promises))
}
