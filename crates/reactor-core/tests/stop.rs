//! Owns the promises of a stop: what is answered, what is cut, what the report says, who is told and in which order, and
//! that nothing is left over. Knows the public API alone.

#[expect(dead_code, unused_imports, reason = "each suite uses its part")]
mod harness;

use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use harness::{
    Client, Event, Events, WAIT, Wiring, child_setting, echo, in_a_process_of_its_own, in_each_mode, lines, pattern,
    serve, until,
};
use reactor_core::{
    CloseReason, ConnId, Deferred, DrainReport, ErrorKind, Failed, Framing, Handle, Handler, Order, Peer, Reply, Server,
};

in_each_mode!(
    under_load_report_stats_and_clients_agree,
    what_is_completed_within_the_drain_is_answered_and_reported,
    what_is_still_open_at_the_deadline_is_abandoned_and_reported,
    the_earliest_deadline_wins,
    each_connection_closes_once_then_the_handler_is_dropped_then_wait_returns,
    many_threads_may_ask_for_a_stop_at_once,
    a_callback_may_ask_for_a_stop_and_is_answered,
    waiting_inside_a_callback_is_refused,
    a_callback_that_does_not_return_is_reported_and_delays_nobody,
    all_callbacks_that_do_not_return_are_counted,
    a_drop_of_the_handler_that_does_not_return_is_reported_and_delays_nobody,
    a_partial_frame_is_dropped_at_a_stop,
    whole_frames_that_wait_in_the_input_are_answered,
    frames_that_output_held_are_answered_while_the_peer_reads,
    output_that_nobody_takes_is_reported_as_unsent,
    what_ends_within_the_drain_with_something_open_was_not_drained,
    what_was_over_before_the_stop_keeps_its_reason,
    no_connection_is_accepted_after_a_stop,
    after_a_stop_its_handle_says_gone,
    starting_and_stopping_leaves_nothing_over,
    dropping_a_server_ends_its_connections,
    dropping_a_server_inside_its_own_callback_does_not_hang,
    a_peer_that_keeps_sending_gets_the_last_reply_and_a_fin,
    a_peer_that_keeps_sending_gets_its_replies_and_a_fin_at_a_stop,
    a_server_that_nobody_used_stops_at_once,
);

/// Longer than any test: a drain that is never cut.
const PATIENT_MS: u32 = 60_000;

/// Its callbacks for "later" hand out promises; "stick" waits for the returned sender; the rest is echoed.
struct Scene {
    server: Server,
    events: Events,
    promises: Receiver<Deferred>,
    release: Sender<()>,
    stuck: Receiver<()>,
}

fn scene(wiring: Wiring, order: Order) -> Scene {
    let (promises, open) = channel();
    let (release, gate) = channel::<()>();
    let (sticks, stuck) = channel();
    let gate = Mutex::new(gate);
    let (server, events) = serve(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range").set_order(order);
        },
        move |request, reply, server| match request {
            b"later\n" => promises.send(reply.defer().map_err(|_| Failed)?).map_err(|_| Failed),
            b"stick\n" => {
                sticks.send(()).map_err(|_| Failed)?;
                // Ends with the test at the latest, which drops the sender.
                let _ = gate.lock().expect("nobody panics here").recv();
                echo(request, reply, server)
            }
            _ => echo(request, reply, server),
        },
    );
    Scene { server, events, promises: open, release, stuck }
}

impl Scene {
    #[track_caller]
    fn promise(&self) -> Deferred {
        self.promises.recv_timeout(WAIT).expect("the request begins")
    }
}

#[track_caller]
fn ended(server: &Server) -> DrainReport {
    let ended = server.wait().expect("this is no callback");
    assert!(!ended.timed_out, "{ended:?}");
    assert_eq!(ended.report.callbacks_running, 0);
    ended.report
}

// ---- The report --------------------------------------------------------------------------------------------------

fn under_load_report_stats_and_clients_agree(wiring: Wiring) {
    const CLIENTS: usize = 8;
    for order in [Order::Serial, Order::Parallel] {
        let stopped = Arc::new(AtomicBool::new(false));
        let begun_after = Arc::new(AtomicU64::new(0));
        let received = Arc::new(AtomicU64::new(0));
        let (is_stopped, after) = (Arc::clone(&stopped), Arc::clone(&begun_after));
        let (server, events) = serve(
            wiring,
            |options| {
                options.set_framing(Framing::Fixed(16)).expect("in range").set_order(order);
            },
            move |request, reply, server| {
                after.fetch_add(is_stopped.load(Ordering::SeqCst).into(), Ordering::SeqCst);
                echo(request, reply, server)
            },
        );
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (client, received) = (Client::connect(&server), Arc::clone(&received));
                thread::spawn(move || load(client, &received))
            })
            .collect();
        until("they are at it", || received.load(Ordering::SeqCst) > 5_000);
        let before = received.load(Ordering::SeqCst);
        server.request_stop(PATIENT_MS);
        stopped.store(true, Ordering::SeqCst);
        let report = ended(&server);
        clients.into_iter().for_each(|client| client.join().expect("its replies are right"));
        let answered = received.load(Ordering::SeqCst);
        let stats = server.stats(None).expect("all of them");
        assert_eq!((stats.requests, stats.replies), (answered, answered), "{order:?}: the clients got {answered}");
        assert_eq!(stats.bytes_out, answered * 16);
        assert_eq!((report.connections_drained, report.connections_aborted), (CLIENTS as u64, 0), "{order:?}");
        assert_eq!((report.requests_abandoned, report.bytes_unsent), (0, 0), "{order:?}");
        let least = begun_after.load(Ordering::SeqCst);
        assert!(report.requests_completed >= least, "{order:?}: {report:?}, and {least} began after the stop");
        assert!(report.requests_completed <= answered - before, "{order:?}: {report:?}, {answered} less {before}");
        for _ in 0..CLIENTS {
            assert_eq!(events.closed().reason, CloseReason::Shutdown);
        }
    }
}

/// Keeps 64 requests under way until the server says FIN; checks that the replies are the first of the requests, in order.
fn load(client: Client, received: &AtomicU64) {
    let mut replies = Vec::new();
    let mut checked = 0_u64;
    for window in 0_u64.. {
        let requests: Vec<u8> =
            (window * 64..(window + 1) * 64).flat_map(|number| format!("{number:<16}").into_bytes()).collect();
        // Once the server has gone, a write may fail; what it sent is still there to be read.
        let _ = (&client.stream).write_all(&requests);
        let mut open = true;
        while open && checked < (window + 1) * 64 {
            let mut buffer = [0; 4096];
            let len = (&client.stream).read(&mut buffer).expect("replies or a FIN, and no reset");
            open = len > 0;
            replies.extend_from_slice(&buffer[..len]);
            while replies.len() >= 16 {
                assert_eq!(replies[..16], *format!("{checked:<16}").as_bytes());
                replies.drain(..16);
                checked += 1;
                received.fetch_add(1, Ordering::SeqCst);
            }
        }
        if !open {
            assert_eq!(replies, b"", "a reply was cut");
            return;
        }
    }
}

fn what_is_completed_within_the_drain_is_answered_and_reported(wiring: Wiring) {
    const CLIENTS: u64 = 6;
    let scene = scene(wiring, Order::Serial);
    let clients: Vec<Client> = (0..CLIENTS).map(|_| Client::connect(&scene.server)).collect();
    clients.iter().for_each(|client| client.send(b"later\n"));
    let promises: Vec<Deferred> = clients.iter().map(|_| scene.promise()).collect();
    scene.server.request_stop(PATIENT_MS);
    for deferred in promises {
        deferred.complete(b"now\n").expect("the drain waits for it");
    }
    for client in &clients {
        assert_eq!(client.receive_to_end().expect("a FIN"), b"now\n");
    }
    drop(clients);
    let report = ended(&scene.server);
    let expected = DrainReport { connections_drained: CLIENTS, requests_completed: CLIENTS, ..DrainReport::default() };
    assert_eq!(report, expected);
}

fn what_is_still_open_at_the_deadline_is_abandoned_and_reported(wiring: Wiring) {
    const CLIENTS: u64 = 5;
    let scene = scene(wiring, Order::Parallel);
    let clients: Vec<Client> = (0..CLIENTS).map(|_| Client::connect(&scene.server)).collect();
    clients.iter().for_each(|client| client.send(b"later\nlater\n"));
    let promises: Vec<Deferred> = (0..2 * CLIENTS).map(|_| scene.promise()).collect();
    let quiet = Client::connect(&scene.server);
    quiet.ping(b"ping\n");
    let asked = Instant::now();
    scene.server.request_stop(200);
    let report = ended(&scene.server);
    assert!(asked.elapsed() >= Duration::from_millis(199), "cut after {:?}", asked.elapsed());
    assert!(asked.elapsed() < WAIT / 2, "cut only after {:?}", asked.elapsed());
    let expected = DrainReport {
        connections_drained: 1,
        connections_aborted: CLIENTS,
        requests_abandoned: 2 * CLIENTS,
        ..DrainReport::default()
    };
    assert_eq!(report, expected);
    for deferred in promises {
        assert_eq!(deferred.complete(b"late\n").expect_err("nobody is there").kind(), ErrorKind::Gone);
    }
}

fn the_earliest_deadline_wins(wiring: Wiring) {
    for (first_ms, second_ms) in [(PATIENT_MS, 100), (100, PATIENT_MS)] {
        let scene = scene(wiring, Order::Serial);
        let client = Client::connect(&scene.server);
        client.send(b"later\n");
        let deferred = scene.promise();
        let asked = Instant::now();
        scene.server.request_stop(first_ms);
        scene.server.request_stop(second_ms);
        let report = ended(&scene.server);
        assert!(asked.elapsed() >= Duration::from_millis(99), "cut after {:?}", asked.elapsed());
        assert!(asked.elapsed() < WAIT, "the later deadline held: {:?}", asked.elapsed());
        assert_eq!((report.connections_aborted, report.requests_abandoned), (1, 1));
        drop((client, deferred));
    }
}

fn each_connection_closes_once_then_the_handler_is_dropped_then_wait_returns(wiring: Wiring) {
    const CLIENTS: usize = 50;
    let scene = scene(wiring, Order::Serial);
    let clients: Vec<Client> = (0..CLIENTS).map(|_| Client::connect(&scene.server)).collect();
    for (number, client) in clients.iter().enumerate() {
        match number % 3 {
            0 => client.ping(b"ping\n"),
            1 => client.send(b"a partial"),
            _ => client.send(b"later\n"),
        }
    }
    let promises: Vec<Deferred> = (0..CLIENTS / 3).map(|_| scene.promise()).collect();
    until("all are open", || scene.server.stats(None).expect("all of them").connections_open == CLIENTS as u64);
    scene.server.request_stop(100);
    ended(&scene.server);
    let (mut opened, mut closed) = (HashSet::new(), HashSet::new());
    let told = scene.events.so_far();
    assert!(matches!(told.last(), Some(Event::Dropped)), "wait returned, and the last event was {:?}", told.last());
    for event in &told[..told.len() - 1] {
        match event {
            Event::Opened(conn) => assert!(opened.insert(*conn)),
            Event::Closed(end) => {
                assert!(closed.insert(end.conn), "{} closed twice", end.conn);
                assert_eq!(end.reason, CloseReason::Shutdown);
            }
            Event::Dropped => panic!("the handler was dropped before the last close"),
        }
    }
    assert_eq!((opened.len(), &closed), (CLIENTS, &opened));
    drop(promises);
}

fn many_threads_may_ask_for_a_stop_at_once(wiring: Wiring) {
    let scene = scene(wiring, Order::Serial);
    let client = Client::connect(&scene.server);
    client.ping(b"ping\n");
    let reports: Vec<DrainReport> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let handle = scene.server.handle();
                scope.spawn(move || {
                    handle.request_stop(PATIENT_MS + number);
                    handle.wait().expect("this is no callback").report
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("it stops")).collect()
    });
    assert_eq!(client.receive_to_end().expect("a FIN"), b"");
    for report in reports {
        assert_eq!(report, DrainReport { connections_drained: 1, ..DrainReport::default() });
    }
}

fn a_callback_may_ask_for_a_stop_and_is_answered(wiring: Wiring) {
    let (server, _events) = serve(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range");
        },
        |request, reply, server| {
            server.request_stop(PATIENT_MS);
            echo(request, reply, server)
        },
    );
    let client = Client::connect(&server);
    client.send(b"stop\n");
    assert_eq!(client.receive_to_end().expect("a FIN"), b"stop\n");
    let report = ended(&server);
    assert_eq!((report.connections_drained, report.requests_completed, report.requests_abandoned), (1, 1, 0));
}

fn waiting_inside_a_callback_is_refused(wiring: Wiring) {
    let (told, heard) = channel();
    let (server, _events) = serve(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range");
        },
        move |request, reply, server| {
            told.send(server.wait().expect_err("it would wait for itself").kind()).map_err(|_| Failed)?;
            echo(request, reply, server)
        },
    );
    let client = Client::connect(&server);
    client.ping(b"wait\n");
    assert_eq!(heard.recv_timeout(WAIT).expect("it was refused"), ErrorKind::WouldDeadlock);
}

// ---- Callbacks that do not return --------------------------------------------------------------------------------

fn a_callback_that_does_not_return_is_reported_and_delays_nobody(wiring: Wiring) {
    let Scene { server, events, release, stuck, promises: _promises } = scene(wiring, Order::Serial);
    let other = Client::connect(&server);
    other.ping(b"ping\n");
    let victim = Client::connect(&server);
    victim.send(b"stick\n");
    stuck.recv_timeout(WAIT).expect("the callback begins");
    if wiring.lanes() > 1 {
        other.ping(b"ping\n");
    }
    let asked = Instant::now();
    server.request_stop(200);
    let ended = server.wait().expect("this is no callback");
    assert!(asked.elapsed() >= Duration::from_millis(199), "cut after {:?}", asked.elapsed());
    assert!(asked.elapsed() < WAIT, "cut only after {:?}", asked.elapsed());
    assert!(ended.timed_out);
    assert_eq!((ended.report.callbacks_running, ended.report.requests_abandoned), (1, 1), "{ended:?}");
    let drained = u64::from(wiring.lanes() > 1);
    assert_eq!(ended.report.connections_drained, drained, "{ended:?}");
    assert_eq!(ended.report.connections_aborted, 2 - drained, "{ended:?}");
    if wiring.lanes() > 1 {
        assert_eq!(other.receive_to_end().expect("a FIN"), b"");
        assert_eq!(events.closed().reason, CloseReason::Shutdown);
    }
    release.send(()).expect("the callback waits for it");
    // What is left of the server follows the callback's return.
    for _ in drained..2 {
        assert_eq!(events.closed().reason, CloseReason::Shutdown);
    }
    assert!(matches!(events.next(), Event::Dropped));
    assert!(!server.wait().expect("this is no callback").timed_out);
}

fn all_callbacks_that_do_not_return_are_counted(wiring: Wiring) {
    let Scene { server, events, release, stuck, promises: _promises } = scene(wiring, Order::Serial);
    // In MULTI each reactor has the next one, as ties rotate.
    let victims: Vec<Client> = (0..wiring.lanes()).map(|_| Client::connect(&server)).collect();
    for victim in &victims {
        events.opened();
        victim.send(b"stick\n");
    }
    // The gate lets one wait at a time inside, the others before it: in a callback are all.
    for _ in &victims {
        stuck.recv_timeout(WAIT).expect("the callback begins");
    }
    server.request_stop(0);
    let ended = server.wait().expect("this is no callback");
    assert!(ended.timed_out);
    let count = victims.len() as u64;
    assert_eq!((ended.report.callbacks_running, ended.report.connections_aborted), (count, count), "{ended:?}");
    drop(release);
    for _ in &victims {
        assert_eq!(events.closed().reason, CloseReason::Shutdown);
    }
    assert!(matches!(events.next(), Event::Dropped));
}

/// Its drop tells of itself, and waits until it is let go.
struct Stays {
    dropping: Sender<()>,
    gate: Mutex<Receiver<()>>,
}

impl Handler for Stays {
    type Data = ();

    fn open(&self, _conn: ConnId, _peer: Peer) -> Option<()> {
        Some(())
    }

    fn process(&self, request: &[u8], reply: &mut Reply<'_, ()>) -> Result<(), Failed> {
        reply.write(request).map_err(|_| Failed)
    }
}

impl Drop for Stays {
    fn drop(&mut self) {
        let _ = self.dropping.send(());
        let _ = self.gate.lock().expect("nobody panics here").recv_timeout(WAIT);
    }
}

fn a_drop_of_the_handler_that_does_not_return_is_reported_and_delays_nobody(wiring: Wiring) {
    let (dropping, drops) = channel();
    let (release, gate) = channel();
    let handler = Stays { dropping, gate: Mutex::new(gate) };
    let server = Server::start("127.0.0.1:0", wiring.mode(), &wiring.options(), handler).expect("the server starts");
    server.request_stop(1);
    let ended = server.wait().expect("this is no callback");
    assert!(ended.timed_out);
    assert_eq!(ended.report.callbacks_running, 1);
    drops.recv_timeout(WAIT).expect("it is what runs");
    release.send(()).expect("the drop waits for it");
    assert!(!server.wait().expect("this is no callback").timed_out);
}

// ---- What waits when the stop comes ------------------------------------------------------------------------------

fn a_partial_frame_is_dropped_at_a_stop(wiring: Wiring) {
    let scene = scene(wiring, Order::Serial);
    let client = Client::connect(&scene.server);
    client.send(b"whole\npartial");
    assert_eq!(client.receive(6), b"whole\n");
    until("it is read", || scene.server.stats(None).expect("all of them").bytes_in == 13);
    scene.server.request_stop(PATIENT_MS);
    assert_eq!(client.receive_to_end().expect("a FIN"), b"");
    drop(client);
    assert_eq!(ended(&scene.server), DrainReport { connections_drained: 1, ..DrainReport::default() });
    assert_eq!(scene.events.closed().reason, CloseReason::Shutdown);
    assert_eq!(scene.server.stats(None).expect("all of them").requests, 1);
}

fn whole_frames_that_wait_in_the_input_are_answered(wiring: Wiring) {
    let scene = scene(wiring, Order::Serial);
    let client = Client::connect(&scene.server);
    client.send(b"later\nsecond\nthird\nfou");
    let deferred = scene.promise();
    until("all is read", || scene.server.stats(None).expect("all of them").bytes_in == 22);
    scene.server.request_stop(PATIENT_MS);
    deferred.complete(b"first\n").expect("the drain waits for it");
    assert_eq!(client.receive_to_end().expect("a FIN"), b"first\nsecond\nthird\n");
    drop(client);
    let expected = DrainReport { connections_drained: 1, requests_completed: 3, ..DrainReport::default() };
    assert_eq!(ended(&scene.server), expected);
}

/// A connection that has asked for more than anybody takes, and reads nothing.
fn overwhelmed(wiring: Wiring, count: usize, reply: usize) -> (Server, Events, Client) {
    let (server, events) = serve(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range");
        },
        move |request, answer, _| answer.write(&pattern(request.len(), reply)).map_err(|_| Failed),
    );
    let client = Client::connect_narrow(&server);
    client.send(&b"ask\n".repeat(count));
    until("all is read", || server.stats(None).expect("all of them").bytes_in == 4 * count as u64);
    until("its requests are held", || server.stats(None).expect("all of them").reads_paused > 0);
    (server, events, client)
}

fn frames_that_output_held_are_answered_while_the_peer_reads(wiring: Wiring) {
    const REPLY: usize = 64 * 1024;
    const COUNT: usize = 200;
    let (server, events, client) = overwhelmed(wiring, COUNT, REPLY);
    server.request_stop(PATIENT_MS);
    for number in 0..COUNT {
        assert!(client.receive(REPLY) == pattern(4, REPLY), "reply {number} is not as it was sent");
    }
    assert_eq!(client.receive_to_end().expect("a FIN"), b"");
    drop(client);
    let report = ended(&server);
    assert_eq!((report.connections_drained, report.requests_abandoned, report.bytes_unsent), (1, 0, 0), "{report:?}");
    assert_eq!(server.stats(None).expect("all of them").replies, COUNT as u64);
    assert_eq!(events.closed().reason, CloseReason::Shutdown);
}

fn output_that_nobody_takes_is_reported_as_unsent(wiring: Wiring) {
    const REPLY: usize = 64 * 1024;
    const COUNT: usize = 200;
    let (server, _events, client) = overwhelmed(wiring, COUNT, REPLY);
    server.request_stop(100);
    let report = ended(&server);
    let stats = server.stats(None).expect("all of them");
    assert_eq!((report.connections_drained, report.connections_aborted), (0, 1), "{report:?}");
    assert_eq!(report.bytes_unsent, stats.replies * REPLY as u64 - stats.bytes_out, "{report:?}, {stats:?}");
    assert_eq!(report.requests_abandoned, COUNT as u64 - stats.replies, "{report:?}, {stats:?}");
    drop(client);
}

/// A reset or a time limit in a drain was counted as if all had been answered and sent.
fn what_ends_within_the_drain_with_something_open_was_not_drained(wiring: Wiring) {
    let open = scene(wiring, Order::Serial);
    let idle: Vec<Client> = (0..wiring.reactors()).map(|_| Client::connect(&open.server)).collect();
    idle.iter().for_each(|idle| idle.ping(b"ping\n"));
    let gone = Client::connect(&open.server);
    gone.send(b"later\n");
    let promise = open.promise();
    // Its drain ends with the promise, so not before the reset was seen.
    let other = Client::connect(&open.server);
    other.send(b"later\n");
    let last = open.promise();
    open.server.request_stop(PATIENT_MS);
    // Who does nothing gets a FIN from its loop in the pass that obeys.
    idle.iter().for_each(|idle| assert_eq!(idle.receive_to_end().expect("a FIN"), b""));
    gone.reset();
    while open.events.closed().reason != CloseReason::Reset {}
    last.complete(b"ok").expect("it is open");
    assert_eq!(other.receive(2), b"ok");
    let report = ended(&open.server);
    drop(promise);
    assert_eq!((report.connections_drained, report.connections_aborted), (idle.len() as u64 + 1, 1), "{report:?}");
    assert_eq!((report.requests_completed, report.requests_abandoned), (1, 1), "{report:?}");
}

/// A client that had left, and whose callback still ran, was told to have ended by the stop.
fn what_was_over_before_the_stop_keeps_its_reason(wiring: Wiring) {
    if !wiring.has_workers() {
        // Nothing is over while a callback runs on the loop.
        return;
    }
    let (release, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let (server, events) = serve(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range");
        },
        move |_, reply, _| {
            reply.defer().map_err(|_| Failed)?.complete(b"early").map_err(|_| Failed)?;
            // Ends with the test at the latest, which drops the sender.
            let _ = gate.lock().expect("nobody panics here").recv();
            Ok(())
        },
    );
    let connect = || (Client::connect(&server), events.opened());
    let idle: Vec<_> = (0..wiring.reactors()).map(|_| connect()).collect();
    let (client, conn) = connect();
    client.send(b"ask\n");
    client.finish();
    assert_eq!(client.receive_to_end().expect("a FIN"), b"early");
    server.request_stop(PATIENT_MS);
    // Who does nothing gets a FIN from its loop in the pass that obeys.
    idle.iter().for_each(|(idle, _)| assert_eq!(idle.receive_to_end().expect("a FIN"), b""));
    release.send(()).expect("the callback waits");
    let reason =
        std::iter::repeat_with(|| events.closed()).find(|closed| closed.conn == conn).map(|closed| closed.reason);
    assert_eq!(reason, Some(CloseReason::Peer));
    ended(&server);
}

fn no_connection_is_accepted_after_a_stop(wiring: Wiring) {
    let scene = scene(wiring, Order::Serial);
    let client = Client::connect(&scene.server);
    client.send(b"later\n");
    let deferred = scene.promise();
    scene.server.request_stop(PATIENT_MS);
    until("the socket no longer listens", || std::net::TcpStream::connect(scene.server.local_address()).is_err());
    deferred.complete(b"now\n").expect("the drain waits for it");
    assert_eq!(client.receive_to_end().expect("a FIN"), b"now\n");
    drop(client);
    ended(&scene.server);
    let opened = scene.events.so_far().iter().filter(|event| matches!(event, Event::Opened(_))).count();
    assert!(opened >= 1);
    assert_eq!(scene.server.stats(None).expect("all of them").connections_open, 0);
}

fn after_a_stop_its_handle_says_gone(wiring: Wiring) {
    let scene = scene(wiring, Order::Serial);
    let client = Client::connect(&scene.server);
    client.ping(b"ping\n");
    let conn: ConnId = scene.events.opened();
    drop(client);
    scene.server.request_stop(0);
    ended(&scene.server);
    let handle: Handle = scene.server.handle();
    assert_eq!(handle.send(conn, b"x").expect_err("it ended").kind(), ErrorKind::Gone);
    assert_eq!(handle.close(conn).expect_err("it ended").kind(), ErrorKind::Gone);
    assert_eq!(handle.abort(conn).expect_err("it ended").kind(), ErrorKind::Gone);
    assert_eq!(handle.broadcast(b"x").expect_err("it ended").kind(), ErrorKind::Gone);
    assert!(handle.peer(conn).is_none());
    handle.request_stop(PATIENT_MS);
    ended(&scene.server);
}

// ---- Nothing is left over ----------------------------------------------------------------------------------------

fn starting_and_stopping_leaves_nothing_over(wiring: Wiring) {
    in_a_process_of_its_own("start_and_stop_over_and_over", &format!("{wiring:?}"));
}

fn entries(directory: &str) -> usize {
    fs::read_dir(directory).expect("proc is there").count()
}

#[test]
#[ignore = "run in a process of its own by starting_and_stopping_leaves_nothing_over"]
fn start_and_stop_over_and_over() {
    let Some(wiring) = child_setting().map(|name| Wiring::named(&name)) else { return };
    let cycle = |number: usize| {
        let scene = scene(wiring, Order::Serial);
        let clients: Vec<Client> = (0..number % 4).map(|_| Client::connect(&scene.server)).collect();
        for client in &clients {
            client.ping(b"ping\n");
        }
        scene.server.request_stop(if number.is_multiple_of(2) { 0 } else { PATIENT_MS });
        drop(clients);
        ended(&scene.server);
    };
    cycle(1);
    // A thread that has left may be seen for a moment yet.
    until("the first cycle's threads are gone", || entries("/proc/self/task") <= 2);
    let (descriptors, threads) = (entries("/proc/self/fd"), entries("/proc/self/task"));
    for number in 0..200 {
        cycle(number);
        let now = entries("/proc/self/fd");
        assert_eq!(now, descriptors, "descriptors after wait of cycle {number}");
    }
    until("no thread is over", || entries("/proc/self/task") == threads);
}

fn dropping_a_server_ends_its_connections(wiring: Wiring) {
    let Scene { server, events, promises, .. } = scene(wiring, Order::Serial);
    let idle = Client::connect(&server);
    idle.ping(b"ping\n");
    let waiting = Client::connect(&server);
    waiting.send(b"later\n");
    let deferred = promises.recv_timeout(WAIT).expect("the request begins");
    drop(server);
    for client in [idle, waiting] {
        // A FIN or a reset: the drain had no time.
        assert_eq!(client.receive_to_end().unwrap_or_default(), b"");
    }
    let told = events.so_far();
    assert_eq!(told.iter().filter(|event| matches!(event, Event::Closed(_))).count(), 2);
    assert!(matches!(told.last(), Some(Event::Dropped)));
    drop(deferred);
}

fn dropping_a_server_inside_its_own_callback_does_not_hang(wiring: Wiring) {
    struct Keeper {
        server: Arc<Mutex<Option<Server>>>,
        dropped: Sender<()>,
    }
    impl Handler for Keeper {
        type Data = ();
        fn open(&self, _conn: ConnId, _peer: Peer) -> Option<()> {
            Some(())
        }
        fn process(&self, request: &[u8], reply: &mut Reply<'_, ()>) -> Result<(), Failed> {
            let server = self.server.lock().expect("nobody panics here").take();
            drop(server);
            reply.write(request).map_err(|_| Failed)
        }
    }
    impl Drop for Keeper {
        fn drop(&mut self) {
            let _ = self.dropped.send(());
        }
    }
    let (dropped, gone) = channel();
    let place = Arc::new(Mutex::new(None));
    let handler = Keeper { server: Arc::clone(&place), dropped };
    let server = Server::start("127.0.0.1:0", wiring.mode(), &wiring.options(), handler).expect("the server starts");
    let client = Client::connect(&server);
    let handle = server.handle();
    *place.lock().expect("nobody panics here") = Some(server);
    client.send(b"drop");
    gone.recv_timeout(WAIT).expect("the handler is dropped");
    handle.wait().expect("this is no callback");
}

// ---- The last reply ----------------------------------------------------------------------------------------------

/// Sends until the other side is gone or `enough` is set.
fn keep_sending(client: &Client, enough: &Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let stream = client.stream.try_clone().expect("a descriptor");
    stream.set_write_timeout(Some(Duration::from_millis(50))).expect("a timeout above 0");
    let enough = Arc::clone(enough);
    thread::spawn(move || {
        while !enough.load(Ordering::SeqCst) {
            // Whether anybody takes it is not what is tested.
            if let Ok(0) | Err(_) = (&stream).write(&[b'\n'; 1024]) {
                thread::park_timeout(Duration::from_millis(1));
            }
        }
    })
}

fn a_peer_that_keeps_sending_gets_the_last_reply_and_a_fin(wiring: Wiring) {
    const REPLY: usize = 1024 * 1024;
    let (server, events) = serve(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range");
        },
        |_, reply, _| {
            reply.write(&pattern(9, REPLY)).map_err(|_| Failed)?;
            reply.close().map_err(|_| Failed)
        },
    );
    let client = Client::connect(&server);
    let enough = Arc::new(AtomicBool::new(false));
    let sending = keep_sending(&client, &enough);
    let reply = client.receive_to_end();
    enough.store(true, Ordering::SeqCst);
    sending.join().expect("it only sends");
    assert!(reply.expect("a FIN, and no reset") == pattern(9, REPLY), "the reply was cut");
    drop(client);
    assert_eq!(events.closed().reason, CloseReason::Local);
}

fn a_peer_that_keeps_sending_gets_its_replies_and_a_fin_at_a_stop(wiring: Wiring) {
    let begun = Arc::new(AtomicU64::new(0));
    let begins = Arc::clone(&begun);
    let (server, events) = serve(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range");
        },
        move |request, reply, server| {
            begins.fetch_add(1, Ordering::SeqCst);
            echo(request, reply, server)
        },
    );
    let client = Client::connect(&server);
    let enough = Arc::new(AtomicBool::new(false));
    let sending = keep_sending(&client, &enough);
    let reader = client.twin();
    let reading = thread::spawn(move || reader.receive_to_end());
    until("it is under way", || begun.load(Ordering::SeqCst) > 1_000);
    server.request_stop(PATIENT_MS);
    let replies = reading.join().expect("it only reads");
    enough.store(true, Ordering::SeqCst);
    sending.join().expect("it only sends");
    drop(client);
    let report = ended(&server);
    assert_eq!(replies.expect("a FIN, and no reset").len() as u64, begun.load(Ordering::SeqCst));
    assert_eq!((report.connections_drained, report.connections_aborted), (1, 0));
    assert_eq!(events.closed().reason, CloseReason::Shutdown);
}

fn a_server_that_nobody_used_stops_at_once(wiring: Wiring) {
    static NEVER: OnceLock<()> = OnceLock::new();
    let (server, events) = serve(wiring, |_| {}, |_, _, _| NEVER.set(()).map_err(|()| Failed));
    let asked = Instant::now();
    server.request_stop(PATIENT_MS);
    assert_eq!(ended(&server), DrainReport::default());
    assert!(asked.elapsed() < WAIT);
    assert!(matches!(events.so_far()[..], [Event::Dropped]));
    assert!(NEVER.get().is_none());
}
