//! Owns the promises of a handler that has no room: what it holds, and that everything is answered in the end. Knows the
//! public API alone.

#[expect(dead_code, unused_imports, reason = "each suite uses its part")]
mod harness;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use harness::{Client, Wiring, in_each_mode, lines, until};
use reactor_core::{CloseReason, ConnId, Deferred, Failed, Handle, Handler, Options, Order, Peer, Reply, Server};

in_each_mode!(
    a_handler_without_room_holds_no_more_and_everything_is_answered,
    a_request_without_room_waits_and_its_connection_is_not_read,
    a_connection_that_ends_without_room_is_forgotten,
    a_stop_answers_what_waited_for_room,
    a_panic_where_room_is_asked_for_is_a_yes,
    a_request_that_waits_for_room_is_answered_after_a_close_whatever_the_idle_timeout,
);

/// A queue that somebody else takes from: full at `high`, with room again at half of that.
#[derive(Debug)]
struct Queue {
    high: usize,
    waiting: Mutex<Vec<(Vec<u8>, Deferred)>>,
    full: std::sync::atomic::AtomicBool,
    most: AtomicUsize,
    opened: Mutex<Vec<ConnId>>,
    closed: Mutex<Vec<CloseReason>>,
    server: OnceLock<Handle>,
    panics: bool,
}

impl Queue {
    fn new(high: usize) -> Queue {
        Queue {
            high,
            waiting: Mutex::default(),
            full: (high == 0).into(),
            most: AtomicUsize::new(0),
            opened: Mutex::default(),
            closed: Mutex::default(),
            server: OnceLock::new(),
            panics: false,
        }
    }

    fn len(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Answers so many, each with itself.
    fn answer(&self, count: usize) {
        let mut waiting = self.waiting.lock().expect("nobody panics with it");
        let count = count.min(waiting.len());
        let taken: Vec<_> = waiting.drain(..count).collect();
        let eased = waiting.len() <= self.high / 2 && self.full.swap(false, Ordering::SeqCst);
        drop(waiting);
        for (request, promise) in taken {
            // A client may have gone meanwhile.
            let _ = promise.complete(&request);
        }
        if eased {
            self.server.get().expect("it runs").resume();
        }
    }

    fn answer_until(&self, is_so: impl Fn() -> bool) {
        until("all that waits is answered", || {
            self.answer(usize::MAX);
            is_so()
        });
    }
}

struct Queued(Arc<Queue>);

impl Handler for Queued {
    type Data = ();

    fn started(&self, server: &Handle) {
        self.0.server.set(server.clone()).expect("a server starts once");
    }

    fn open(&self, conn: ConnId, _peer: Peer) -> Option<()> {
        self.0.opened.lock().expect("nobody panics with it").push(conn);
        Some(())
    }

    fn has_room(&self, (): &()) -> bool {
        assert!(!self.0.panics, "as asked for");
        !self.0.full.load(Ordering::SeqCst)
    }

    fn process(&self, request: &[u8], reply: &mut Reply<'_, ()>) -> Result<(), Failed> {
        let promise = reply.defer().map_err(|_| Failed)?;
        let mut waiting = self.0.waiting.lock().expect("nobody panics with it");
        waiting.push((request.to_vec(), promise));
        self.0.most.fetch_max(waiting.len(), Ordering::SeqCst);
        if waiting.len() >= self.0.high {
            self.0.full.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    fn close(&self, _conn: ConnId, reason: CloseReason, _os_error: i32, (): ()) {
        self.0.closed.lock().expect("nobody panics with it").push(reason);
    }
}

fn serve(wiring: Wiring, order: Order, queue: Queue) -> (Server, Arc<Queue>) {
    serve_idle(wiring, order, queue, 0)
}

fn serve_idle(wiring: Wiring, order: Order, queue: Queue, idle_timeout_ms: u32) -> (Server, Arc<Queue>) {
    let mut options: Options = wiring.framed(lines(false));
    options.set_order(order).set_idle_timeout_ms(idle_timeout_ms);
    let queue = Arc::new(queue);
    let server = Server::start("127.0.0.1:0", wiring.mode(), &options, Queued(Arc::clone(&queue)));
    (server.expect("the server starts"), queue)
}

fn asks(client: usize, count: usize) -> Vec<u8> {
    (0..count).flat_map(|index| format!("{client} asks {index}\n").into_bytes()).collect()
}

fn bytes_in(server: &Server) -> usize {
    server.stats(None).expect("all of them").bytes_in as usize
}

/// A loop may have asked for room before the other filled it; inline there is no other place where requests wait.
fn a_handler_without_room_holds_no_more_and_everything_is_answered(wiring: Wiring) {
    const HIGH: usize = 100;
    const CLIENTS: usize = 40;
    const ASKED: usize = 50;
    for order in [Order::Serial, Order::Parallel, Order::Unordered] {
        let (server, queue) = serve(wiring, order, Queue::new(HIGH));
        let clients: Vec<_> = (0..CLIENTS).map(|_| Client::connect(&server)).collect();
        let mut sent = 0;
        for (number, client) in clients.iter().enumerate() {
            client.send(&asks(number, ASKED));
            sent += asks(number, ASKED).len();
        }
        until("the server has read all", || bytes_in(&server) == sent);
        if order != Order::Serial {
            until("the queue is full", || queue.len() >= HIGH);
        }
        std::thread::scope(|scope| {
            let answered = Arc::new(AtomicUsize::new(0));
            for (number, client) in clients.iter().enumerate() {
                let answered = Arc::clone(&answered);
                scope.spawn(move || {
                    let due = asks(number, ASKED);
                    let mut got = client.receive(due.len());
                    if order == Order::Unordered {
                        let mut asked: Vec<_> = due.split(|byte| *byte == b'\n').collect();
                        let mut replies: Vec<_> = got.split(|byte| *byte == b'\n').collect();
                        asked.sort_unstable();
                        replies.sort_unstable();
                        assert!(asked == replies, "each is answered once");
                    } else {
                        assert!(got == due, "each is answered once, in order");
                    }
                    got.clear();
                    answered.fetch_add(1, Ordering::SeqCst);
                });
            }
            queue.answer_until(|| answered.load(Ordering::SeqCst) == CLIENTS);
        });
        // What workers were given before the queue was full, they bring yet.
        if !wiring.has_workers() {
            let most = queue.most.load(Ordering::SeqCst);
            assert!(most < HIGH + wiring.reactors(), "{most} waited with {} reactors, {order:?}", wiring.reactors());
        }
    }
}

fn a_request_without_room_waits_and_its_connection_is_not_read(wiring: Wiring) {
    let (server, queue) = serve(wiring, Order::Parallel, Queue::new(0));
    let client = Client::connect(&server);
    client.send(b"first\n");
    until("the first is read", || bytes_in(&server) == 6);
    until("it is told that reading has paused", || server.stats(None).expect("all of them").reads_paused == 1);
    client.send(b"second\n");
    // Another connection shows that loops go on, and read.
    let others: Vec<_> = (0..6)
        .map(|_| {
            let other = Client::connect(&server);
            other.send(b"other\n");
            other
        })
        .collect();
    until("those of the others are read", || bytes_in(&server) >= 6 + 6 * 6);
    assert_eq!(bytes_in(&server), 6 + 6 * 6, "the second is not");
    assert_eq!(server.stats(None).expect("all of them").requests, 0);
    client.expect_nothing();
    queue.full.store(false, Ordering::SeqCst);
    server.resume();
    until("all have come", || {
        let due = queue.len() >= 8;
        // At 0 each one fills it.
        if !due && queue.full.swap(false, Ordering::SeqCst) {
            server.resume();
        }
        due
    });
    queue.answer(usize::MAX);
    client.expect(b"first\nsecond\n");
    for other in others {
        other.expect(b"other\n");
    }
}

fn a_connection_that_ends_without_room_is_forgotten(wiring: Wiring) {
    let (server, queue) = serve(wiring, Order::Serial, Queue::new(0));
    for round in 0..300 {
        let client = Client::connect(&server);
        client.send(b"never begun\n");
        until("it is read", || bytes_in(&server) == 12 * (round + 1));
        client.reset();
    }
    until("all are closed", || queue.closed.lock().expect("nobody panics with it").len() == 300);
    assert_eq!(server.stats(None).expect("all of them").requests, 0);
    // Their slots are others' now.
    queue.full.store(false, Ordering::SeqCst);
    server.resume();
    let client = Client::connect(&server);
    client.send(b"begun\n");
    until("it has come", || queue.len() == 1);
    queue.answer(1);
    client.expect(b"begun\n");
}

fn a_stop_answers_what_waited_for_room(wiring: Wiring) {
    let (server, queue) = serve(wiring, Order::Serial, Queue::new(0));
    let client = Client::connect(&server);
    client.send(b"first\nsecond\n");
    until("they are read", || bytes_in(&server) == 13);
    server.request_stop(20_000);
    queue.full.store(false, Ordering::SeqCst);
    server.resume();
    std::thread::scope(|scope| {
        let replies = scope.spawn(move || client.receive_to_end().expect("a FIN"));
        until("the queue is served to the end", || {
            queue.answer(usize::MAX);
            if queue.full.swap(false, Ordering::SeqCst) {
                server.resume();
            }
            replies.is_finished()
        });
        assert_eq!(replies.join().expect("it is not reset"), b"first\nsecond\n");
    });
    let report = server.wait().expect("no callback waits").report;
    assert_eq!((report.requests_completed, report.requests_abandoned), (2, 0));
}

fn a_panic_where_room_is_asked_for_is_a_yes(wiring: Wiring) {
    let (server, queue) = serve(wiring, Order::Serial, Queue { panics: true, ..Queue::new(1) });
    let client = Client::connect(&server);
    client.send(b"all the same\n");
    until("it has come", || queue.len() == 1);
    queue.answer(1);
    client.expect(b"all the same\n");
}

/// It is admitted, and counts as no idleness: a close had ended the pause in which no time passes, and it was cut.
fn a_request_that_waits_for_room_is_answered_after_a_close_whatever_the_idle_timeout(wiring: Wiring) {
    let (server, queue) = serve_idle(wiring, Order::Serial, Queue::new(0), 1_000);
    let client = Client::connect(&server);
    client.send(b"a line\n");
    until("it is read", || bytes_in(&server) == 7);
    let conn = queue.opened.lock().expect("nobody panics with it")[0];
    server.close(conn).expect("it is open");
    // Whoever comes later is idle for no longer.
    let idle = Client::connect(&server);
    until("another one's time is over", || {
        queue.closed.lock().expect("nobody panics with it").contains(&CloseReason::IdleTimeout)
    });
    queue.full.store(false, Ordering::SeqCst);
    server.resume();
    queue.answer_until(|| server.stats(None).expect("all of them").replies == 1);
    client.expect_last(b"a line\n");
    drop(client);
    until("both are closed", || queue.closed.lock().expect("nobody panics with it").len() == 2);
    let closed = queue.closed.lock().expect("nobody panics with it").clone();
    assert_eq!(closed, [CloseReason::IdleTimeout, CloseReason::Local]);
    drop(idle);
}
