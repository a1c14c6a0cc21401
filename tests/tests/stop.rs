//! Stopping: what was admitted is answered, whoever asks, however often, and a callback that never returns delays nobody.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use nix::sys::signal::Signal;
use reactor_tests::{
    Client, Mode, Report, Server, Stopped, assert_closed, in_each_mode, in_each_mode_of_node,
    in_each_mode_of_node_functions, run_program_in,
};

in_each_mode!(
    under_load_every_client_gets_whole_replies_then_fin,
    under_a_flood_every_client_gets_whole_replies_then_fin,
    a_request_in_progress_is_answered_before_the_end,
    idle_connections_get_fin,
    a_callback_that_never_returns_delays_nobody_past_the_deadline,
    signals_that_keep_coming_stop_an_example_once,
    asked_for_twice,
    asked_for_in_on_open,
    asked_for_in_process,
    asked_for_in_on_close,
    asked_for_in_a_signal_handler,
    asked_for_by_eight_threads,
    asked_for_before_the_first_connection,
    free_with_open_connections,
    asked_for_by_another_reactors_callback,
    the_earliest_deadline_wins,
);

// Not there: signals that keep coming, for Node.js itself ends a program at the second one that nobody listens to.
in_each_mode_of_node!(
    under_load_every_client_gets_whole_replies_then_fin,
    under_a_flood_every_client_gets_whole_replies_then_fin,
    a_request_in_progress_is_answered_before_the_end,
    idle_connections_get_fin,
    a_callback_that_never_returns_delays_nobody_past_the_deadline,
    asked_for_twice,
    asked_for_in_on_open,
    asked_for_in_process,
    asked_for_in_on_close,
    asked_for_in_a_signal_handler,
    asked_for_by_eight_threads,
    asked_for_before_the_first_connection,
    free_with_open_connections,
    the_earliest_deadline_wins,
);

// A server belongs to its thread: a module on a worker's cannot stop it.
in_each_mode_of_node_functions!(asked_for_by_another_reactors_callback,);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
const CLIENTS: usize = 8;
/// Batches that each client has been answered before the stop.
const BATCHES_BEFORE: usize = 10;
const BATCH: usize = 32;

fn one_reply(server: &Server) -> Vec<u8> {
    let mut client = server.connect();
    client.send(REQUEST);
    let head = client.receive_until(b"\r\n\r\n");
    let reply = [head, client.receive(6)].concat();
    // It is gone before the others come, so that none but them is there to drain.
    client.finish();
    client.expect_end();
    reply
}

/// Runs `client` for each of the clients, stops the server when all are under way, and sees that nothing was lost.
fn stop_while(mode: Mode, client: impl Fn(Client, &[u8], &Sender<()>) + Sync) {
    let mut server = Server::example_in(mode, "http_mock", &[]);
    let reply = one_reply(&server);
    let address = server.address();
    let (under_way, starts) = channel();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let (under_way, client, reply) = (under_way.clone(), &client, &reply);
            scope.spawn(move || client(Client::connect(address), reply, &under_way));
        }
        for _ in 0..CLIENTS {
            starts.recv_timeout(reactor_tests::DEADLINE).expect("each client is answered within the deadline");
        }
        server.ask_to_stop();
    });
    let report = server.wait().report;
    report.assert_nothing_lost();
    assert_eq!(report.drained, CLIENTS as u64, "{report:?}");
}

/// Asserts that what came, up to the FIN, is a whole number of replies.
fn assert_whole(received: &[u8], reply: &[u8]) {
    assert!(received.chunks(reply.len()).all(|one| one == reply), "a reply is cut or changed");
}

fn under_load_every_client_gets_whole_replies_then_fin(mode: Mode) {
    stop_while(mode, |mut client, reply, under_way| {
        for batch in 1.. {
            client.send(&REQUEST.repeat(BATCH));
            let received = receive_up_to(&mut client, BATCH * reply.len());
            assert_whole(&received, reply);
            if received.len() < BATCH * reply.len() {
                assert!(batch > BATCHES_BEFORE, "the server stopped before it was asked to");
                return;
            }
            if batch == BATCHES_BEFORE {
                under_way.send(()).expect("the test waits for it");
            }
        }
    });
}

fn under_a_flood_every_client_gets_whole_replies_then_fin(mode: Mode) {
    stop_while(mode, |mut client, reply, under_way| {
        let over = AtomicBool::new(false);
        let writer = client.another_hand();
        thread::scope(|scope| {
            scope.spawn(|| {
                let requests = REQUEST.repeat(BATCH);
                // The write fails where the reader has shut the connection down under it.
                while !over.load(Ordering::Relaxed) && writer.stream().write_all(&requests).is_ok() {
                    thread::yield_now();
                }
            });
            for batch in 1.. {
                let received = receive_up_to(&mut client, BATCH * reply.len());
                assert_whole(&received, reply);
                if received.len() < BATCH * reply.len() {
                    break;
                }
                if batch == BATCHES_BEFORE {
                    under_way.send(()).expect("the test waits for it");
                }
            }
            over.store(true, Ordering::Relaxed);
            // Fails where the server has closed meanwhile.
            let _ = client.stream().shutdown(Shutdown::Both);
        });
    });
}

/// The next `count` bytes, or fewer where the FIN comes before.
fn receive_up_to(client: &mut Client, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = client.stream().take(count as u64).read_to_end(&mut bytes);
    read.unwrap_or_else(|error| panic!("no FIN, but, after {} bytes: {error}", bytes.len()));
    bytes
}

fn a_request_in_progress_is_answered_before_the_end(mode: Mode) {
    let mut server = Server::program_in(mode, "probe_echo", &["--variant", "gate-process"]);
    let mut client = server.connect();
    client.send(b"in progress");
    server.expect_line("process waits");
    // The program obeys in order: the stop has been asked for when the callback goes on.
    server.tell("stop 20000");
    server.tell("go 0");
    assert_eq!(client.receive_to_end(), b"in progress");
    drop(client);
    let stopped = server.stop();
    stopped.report.assert_nothing_lost();
    assert_eq!((stopped.report.drained, stopped.report.completed), (1, 1));
    assert_eq!(shut(&stopped), 1, "{:#?}", stopped.lines);
}

fn idle_connections_get_fin(mode: Mode) {
    let mut server = Server::program_in(mode, "probe_echo", &[]);
    let mut clients: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.ask(b"ping", b"ping");
    }
    server.ask_to_stop();
    for client in &mut clients {
        client.expect_end();
    }
    drop(clients);
    let stopped = server.wait();
    stopped.report.assert_nothing_lost();
    assert_eq!((stopped.report.drained, stopped.report.completed), (10, 0));
    assert_eq!(shut(&stopped), 10, "{:#?}", stopped.lines);
}

/// How many connections the stop ended.
fn shut(stopped: &Stopped) -> usize {
    let closes = stopped.lines.iter().filter(|line| line.starts_with("close ") && line.contains("reason=SHUTDOWN"));
    closes.inspect(|line| assert_closed(line, "SHUTDOWN")).count()
}

fn a_callback_that_never_returns_delays_nobody_past_the_deadline(mode: Mode) {
    let mut server = Server::program_in(mode, "probe_echo", &["--variant", "gate-process"]);
    let mut client = server.connect();
    client.send(b"never answered");
    server.expect_line("process waits");
    server.tell("stop 200");
    // wait returns while the callback still runs, and says so; Node's stop resolves, for no native thread waits for it.
    server.expect_line(if mode.is_node() { "wait OK" } else { "wait TIMED_OUT" });
    // Now it goes on; what is due after it follows, and its late reply goes nowhere.
    server.tell("go 0");
    client.expect_dropped();
    server.expect_line("close ");
    if !mode.is_node() {
        server.expect_line("user_data_free");
    }
    let stopped = server.stop();
    let report = stopped.report;
    let running = Report::running_due(mode, 1);
    assert_eq!((report.running, report.abandoned, report.aborted), (running, 1, 1), "{report:?}");
    assert_eq!((report.drained, report.completed), (0, 0), "{report:?}");
    if mode.is_node() {
        return;
    }
    let position = |start: &str| stopped.lines.iter().position(|line| line.starts_with(start));
    assert!(position("wait TIMED_OUT") < position("close "), "{:#?}", stopped.lines);
    assert!(position("close ") < position("user_data_free"), "{:#?}", stopped.lines);
    assert_eq!(stopped.count("user_data_free"), 1);
}

fn signals_that_keep_coming_stop_an_example_once(mode: Mode) {
    let server = Server::example_in(mode, "echo", &["--compute-ms", "50"]);
    let mut client = server.connect();
    client.ask(b"ping", b"ping");
    for _ in 0..20 {
        server.signal(Signal::SIGTERM);
        server.signal(Signal::SIGINT);
    }
    client.expect_end();
    drop(client);
    let report = server.wait().report;
    report.assert_nothing_lost();
    assert_eq!(report.drained, 1);
}

fn run(mode: Mode, variant: &str) {
    run_program_in(mode, "stops", &["--variant", variant]);
}

fn asked_for_twice(mode: Mode) {
    run(mode, "twice");
}

fn asked_for_in_on_open(mode: Mode) {
    run(mode, "in-open");
}

fn asked_for_in_process(mode: Mode) {
    run(mode, "in-process");
}

fn asked_for_in_on_close(mode: Mode) {
    run(mode, "in-close");
}

fn asked_for_in_a_signal_handler(mode: Mode) {
    run(mode, "signal-handler");
}

fn asked_for_by_eight_threads(mode: Mode) {
    run(mode, "eight-threads");
}

fn asked_for_before_the_first_connection(mode: Mode) {
    run(mode, "at-once");
}

fn free_with_open_connections(mode: Mode) {
    run(mode, "free-with-connections");
}

fn asked_for_by_another_reactors_callback(mode: Mode) {
    run(mode, "another-reactor");
}

fn the_earliest_deadline_wins(mode: Mode) {
    run(mode, "later-deadline-first");
    run(mode, "earlier-deadline-first");
}
