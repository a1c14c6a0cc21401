//! What happens at the limits: of descriptors, of threads, of connections, and of what on_open takes.

use std::io::{Read, Write};

use reactor_tests::{
    Mode, Server, assert_closed, assert_same_bytes, descriptors, in_each_mode, in_each_mode_of_node, run_program_in,
    sockets, wait_until,
};

in_each_mode!(
    a_start_that_gets_no_thread_leaves_nothing_behind,
    a_client_that_waits_for_a_descriptor_is_served_when_one_is_freed,
    connections_past_the_maximum_are_dropped_and_the_others_served,
    a_connection_that_on_open_refuses_is_dropped_and_never_closed,
);

in_each_mode_of_node!(
    a_client_that_waits_for_a_descriptor_is_served_when_one_is_freed,
    connections_past_the_maximum_are_dropped_and_the_others_served,
    a_connection_that_on_open_refuses_is_dropped_and_never_closed,
);

fn a_client_that_waits_for_a_descriptor_is_served_when_one_is_freed(mode: Mode) {
    const CLIENTS: usize = 80;
    // Of its descriptors Node.js has some 25 for itself.
    let limit = if mode.is_node() { 90 } else { 64 };
    let args = ["--nofile", &limit.to_string(), "--max-connections", "10000"];
    // Each reactor takes descriptors of its own.
    let mut server = Server::program_with_two_reactors(mode, "probe_echo", &args);
    let own = sockets(server.pid());
    // The kernel completes all of them; more than the server has descriptors for.
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    let message = |index| format!("ping of client {index}").into_bytes();
    for (index, client) in clients.iter_mut().enumerate() {
        client.send(&message(index));
    }
    wait_until("the descriptors to run out", || descriptors(server.pid()) >= limit);
    let taken = sockets(server.pid()) - own;
    assert!(taken < CLIENTS && taken > CLIENTS / 2, "{taken} of {CLIENTS} were taken with {limit} descriptors");

    // They are taken in the order in which they came.
    for (index, client) in clients[..taken].iter_mut().enumerate() {
        assert_same_bytes(&client.receive(message(index).len()), &message(index));
    }
    for client in &clients[taken..] {
        client.expect_nothing_yet();
    }
    // Each one that goes makes room for one that waits, though no new client comes.
    let mut waiting = clients.split_off(taken);
    for (index, client) in waiting.iter_mut().enumerate() {
        drop(clients.remove(0));
        assert_same_bytes(&client.receive(message(taken + index).len()), &message(taken + index));
    }
    let closes = server.expect_lines(CLIENTS - taken, "close ");
    closes.iter().for_each(|line| assert_closed(line, "PEER"));
    clients.append(&mut waiting);
    let stopped = server.stop_with(clients);
    stopped.report.assert_nothing_lost();
    assert_eq!(stopped.report.drained, taken as u64, "as many stand as there were descriptors");
}

fn connections_past_the_maximum_are_dropped_and_the_others_served(mode: Mode) {
    let mut server = Server::program_in(mode, "probe_echo", &["--max-connections", "8"]);
    let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.ask(b"ping", b"ping");
    }
    for _ in 0..20 {
        server.connect().expect_dropped();
    }
    for client in &mut clients {
        client.ask(b"pong", b"pong");
    }
    // One that goes makes room for another.
    drop(clients.pop());
    server.expect_line("close ");
    wait_until("a place to be free", || {
        let client = server.connect();
        let mut reply = [0; 4];
        // Either fails where the server dropped it.
        client.stream().write_all(b"ping").is_ok() && client.stream().read(&mut reply).is_ok_and(|count| count > 0)
    });
    let stopped = server.stop_with(clients);
    stopped.report.assert_nothing_lost();
    assert_eq!(stopped.count("open "), 9, "on_open sees none that is past the maximum: {:#?}", stopped.lines);
    assert_eq!(stopped.count("close "), 9, "{:#?}", stopped.lines);
}

fn a_connection_that_on_open_refuses_is_dropped_and_never_closed(mode: Mode) {
    let server = Server::program_in(mode, "commands", &["--variant", "refuse"]);
    let own = sockets(server.pid());
    let mut taken = Vec::new();
    for _ in 0..10 {
        let mut client = server.connect();
        client.ask(b"write 3\n", b"abc");
        taken.push(client);
        server.connect().expect_dropped();
    }
    // What JavaScript refuses was open until then, and its close waits for the peer's FIN: it would count as drained.
    wait_until("the refused to be gone", || sockets(server.pid()) == own + taken.len());
    let stopped = server.stop_with(taken);
    stopped.report.assert_nothing_lost();
    assert_eq!(stopped.report.drained, 10);
    assert_eq!(stopped.count("refused"), 10);
    assert_eq!(stopped.count("totals opens=10 closes=10"), 1, "{:#?}", stopped.lines);
}

/// The address too is free: who tries again at once is served.
fn a_start_that_gets_no_thread_leaves_nothing_behind(mode: Mode) {
    let reactors: &[_] = if mode.has_main_reactor() { &["--reactors", "2"] } else { &[] };
    let lines = run_program_in(mode, "no_thread", reactors);
    let failed = lines.iter().find_map(|line| line.strip_prefix("failed ")?.parse::<u32>().ok());
    assert!(failed.is_some_and(|count| count >= 50), "{lines:#?}");
}
