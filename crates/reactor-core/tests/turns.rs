//! Owns the promises of `Handler::turn_over`: it comes after the requests of a turn, on their thread. Knows the public API
//! alone.

#[expect(dead_code, unused_imports, reason = "each suite uses its part")]
mod harness;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use harness::{Client, Wiring, in_each_mode, lines};
use reactor_core::{ConnId, Deferred, Failed, Handler, Order, Peer, Reply, Server};

in_each_mode!(
    what_a_turn_brought_can_be_answered_at_its_end,
    a_panic_at_the_end_of_a_turn_costs_nothing,
    a_turn_has_no_more_requests_of_a_connection_however_often_it_writes,
);

type Asked = (ThreadId, Vec<u8>, Deferred);

/// Keeps requests until their turn is over, and answers each with itself then. With workers there is no such time: at
/// once.
struct Collector {
    has_workers: bool,
    panics: bool,
    asked: Mutex<Vec<Asked>>,
    turns: Arc<AtomicUsize>,
}

impl Handler for Collector {
    type Data = ();

    fn open(&self, _conn: ConnId, _peer: Peer) -> Option<()> {
        Some(())
    }

    fn process(&self, request: &[u8], reply: &mut Reply<'_, ()>) -> Result<(), Failed> {
        let promise = reply.defer().map_err(|_| Failed)?;
        if self.has_workers {
            return promise.complete(request).map_err(|_| Failed);
        }
        self.asked.lock().expect("nobody panics with it").push((thread::current().id(), request.to_vec(), promise));
        Ok(())
    }

    fn turn_over(&self, _reactor: usize) {
        self.turns.fetch_add(1, Ordering::SeqCst);
        let here = thread::current().id();
        let mut asked = self.asked.lock().expect("nobody panics with it");
        // Those of another reactor are for the end of its turn.
        let mine: Vec<_> = asked.extract_if(.., |(thread, ..)| *thread == here).collect();
        drop(asked);
        assert!(!mine.is_empty(), "a turn without requests is none to tell of");
        for (_, request, promise) in mine {
            promise.complete(&request).expect("the client is there");
        }
        assert!(!self.panics, "as asked for");
    }
}

fn serve(wiring: Wiring, order: Order, panics: bool) -> (Server, Arc<AtomicUsize>) {
    let mut options = wiring.framed(lines(false));
    options.set_order(order);
    let turns = Arc::new(AtomicUsize::new(0));
    let has_workers = wiring.has_workers();
    let collector = Collector { has_workers, panics, asked: Mutex::default(), turns: Arc::clone(&turns) };
    let server = Server::start("127.0.0.1:0", wiring.mode(), &options, collector);
    (server.expect("the server starts"), turns)
}

/// Asks over several connections, and has each answer; says how often a turn was over meanwhile.
fn ask(wiring: Wiring, order: Order, panics: bool) -> usize {
    let (server, turns) = serve(wiring, order, panics);
    let clients: Vec<_> = (0..4).map(|_| Client::connect(&server)).collect();
    let lines: Vec<u8> = (0..50).flat_map(|number| format!("line {number}\n").into_bytes()).collect();
    for client in &clients {
        client.send(&lines);
    }
    for client in &clients {
        client.expect(&lines);
    }
    drop(server);
    turns.load(Ordering::SeqCst)
}

fn what_a_turn_brought_can_be_answered_at_its_end(wiring: Wiring) {
    for order in [Order::Serial, Order::Parallel] {
        let turns = ask(wiring, order, false);
        assert_eq!(turns == 0, wiring.has_workers(), "{turns} turns");
    }
}

fn a_panic_at_the_end_of_a_turn_costs_nothing(wiring: Wiring) {
    ask(wiring, Order::Parallel, true);
}

/// Counts the requests of each pass.
#[derive(Default)]
struct Counting {
    now: AtomicUsize,
    most: Arc<AtomicUsize>,
}

impl Handler for Counting {
    type Data = ();

    fn open(&self, _conn: ConnId, _peer: Peer) -> Option<()> {
        Some(())
    }

    fn process(&self, _request: &[u8], reply: &mut Reply<'_, ()>) -> Result<(), Failed> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        reply.write(&[b'r'; 1_100]).map_err(|_| Failed)
    }

    fn turn_over(&self, _reactor: usize) {
        self.now.store(0, Ordering::SeqCst);
    }
}

/// Whenever replies had reached the high mark and were written, the turn's count of requests began anew.
fn a_turn_has_no_more_requests_of_a_connection_however_often_it_writes(wiring: Wiring) {
    const ASKED: usize = 40_000;
    if wiring.has_workers() {
        return;
    }
    let handler = Counting::default();
    let most = Arc::clone(&handler.most);
    let server = Server::start("127.0.0.1:0", wiring.mode(), &wiring.framed(lines(false)), handler);
    let server = server.expect("the server starts");
    let client = Client::connect(&server);
    let writer = client.twin();
    thread::scope(|scope| {
        scope.spawn(move || writer.send(&b"x\n".repeat(ASKED)));
        for _ in 0..ASKED {
            client.receive(1_100);
        }
    });
    let most = most.load(Ordering::SeqCst);
    // A turn for its event, and one for what gave way, of 64 each and the one that finds it over.
    assert!(most <= 2 * 65, "{most} requests of one connection in one pass");
}
