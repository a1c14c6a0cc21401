//! A client's FIN ends its requests and nothing else: what it sent before is answered, an end is no request.

use reactor_tests::{Client, Mode, Server, assert_closed, assert_same_bytes, in_each_mode, in_each_mode_of_node};

in_each_mode!(
    a_half_close_while_computing_gets_every_reply_then_fin,
    data_and_fin_sent_before_the_server_accepts_are_answered,
    bytes_that_wait_join_and_an_end_of_input_is_no_request,
    a_client_that_closes_at_once_is_opened_and_closed_once,
    a_client_that_resets_at_once_costs_nobody_else_anything,
    an_end_of_input_after_the_last_reply_closes_the_connection,
);

in_each_mode_of_node!(
    a_half_close_while_computing_gets_every_reply_then_fin,
    data_and_fin_sent_before_the_server_accepts_are_answered,
    bytes_that_wait_join_and_an_end_of_input_is_no_request,
    a_client_that_closes_at_once_is_opened_and_closed_once,
    a_client_that_resets_at_once_costs_nobody_else_anything,
    an_end_of_input_after_the_last_reply_closes_the_connection,
);

fn a_half_close_while_computing_gets_every_reply_then_fin(mode: Mode) {
    let server = Server::example_in(mode, "echo", &["--compute-ms", "50"]);
    let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(b"message 1\n");
        client.send(b"message 2\n");
        client.finish();
    }
    for client in &mut clients {
        assert_same_bytes(&client.receive_to_end(), b"message 1\nmessage 2\n");
    }
    server.stop().report.assert_nothing_lost();
}

fn data_and_fin_sent_before_the_server_accepts_are_answered(mode: Mode) {
    let mut server = Server::program_with_one_reactor(mode, "probe_echo", &["--variant", "gate-open"]);
    let mut first = server.connect();
    server.expect_line("open waits");
    // The loop stands in on_open of the first, so nothing of these reaches it before they have said all.
    let mut late: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for client in &mut late {
        client.send(b"sent before accept");
        client.finish();
    }
    let mut silent = server.connect();
    silent.finish();
    first.send(b"first");
    first.finish();
    for client in late.iter().chain([&first, &silent]) {
        client.wait_until_delivered();
    }
    server.tell("go 0");
    for client in &mut late {
        assert_same_bytes(&client.receive_to_end(), b"sent before accept");
    }
    assert_same_bytes(&first.receive_to_end(), b"first");
    silent.expect_end();
    let closes = server.expect_lines(10, "close ");
    closes.iter().for_each(|line| assert_closed(line, "PEER"));
    server.stop().report.assert_nothing_lost();
}

fn bytes_that_wait_join_and_an_end_of_input_is_no_request(mode: Mode) {
    let mut server = Server::program_with_one_reactor(mode, "probe_echo", &["--variant", "gate-process"]);
    let mut client = server.connect();
    client.send(b"first ");
    server.expect_line("process waits");
    // Where a worker waits the loop goes on, and shows by this connection when it has read what the first has sent.
    let mut other = mode.has_workers().then(|| server.connect());
    client.send(b"second ");
    client.wait_until_delivered();
    other.as_mut().map(pass_loop);
    client.send(b"third");
    client.finish();
    client.wait_until_delivered();
    other.as_mut().map(pass_loop);
    let pings = if mode.has_workers() { 4 } else { 0 };
    server.tell("go 0");
    assert_same_bytes(&client.receive_to_end(), b"first second third");
    let stopped = server.stop();
    assert_eq!(stopped.count("process len=6 "), 1, "the first request: {:#?}", stopped.lines);
    assert_eq!(stopped.count("process len=12 "), 1, "all that came meanwhile, in one: {:#?}", stopped.lines);
    assert_eq!(stopped.count("process len="), 2 + pings, "{:#?}", stopped.lines);
}

/// Returns when the loop has read what was delivered before the call: a first answer shows that the turn began, a second
/// that it is over.
fn pass_loop(other: &mut Client) {
    other.ask(b"ping", b"ping");
    other.ask(b"pong", b"pong");
}

fn a_client_that_closes_at_once_is_opened_and_closed_once(mode: Mode) {
    let mut server = Server::program_in(mode, "probe_echo", &[]);
    for _ in 0..100 {
        drop(server.connect());
    }
    let closes = server.expect_lines(100, "close ");
    closes.iter().for_each(|line| assert_closed(line, "PEER"));
    let stopped = server.stop();
    assert_eq!(stopped.count("totals opens=100 processes=0 closes=100"), 1, "{:#?}", stopped.lines);
}

fn a_client_that_resets_at_once_costs_nobody_else_anything(mode: Mode) {
    let server = Server::program_in(mode, "probe_echo", &[]);
    let mut bystander = server.connect();
    for _ in 0..100 {
        server.connect().reset();
        bystander.ask(b"ping", b"ping");
    }
    bystander.finish();
    bystander.expect_end();
    // A connection that is reset before it is accepted may never be seen. probe_echo itself checks, in user_data_free, that
    // each one opened was closed.
    let stopped = server.stop();
    stopped.report.assert_nothing_lost();
    assert_eq!(stopped.count("process len=4 "), 100);
    assert_eq!(stopped.count("open "), stopped.count("close "));
}

fn an_end_of_input_after_the_last_reply_closes_the_connection(mode: Mode) {
    let mut server = Server::program_in(mode, "probe_echo", &[]);
    let mut client = server.connect();
    client.ask(b"ping", b"ping");
    client.finish();
    client.expect_end();
    assert_closed(&server.expect_line("close "), "PEER");
    let stopped = server.stop();
    assert_eq!(stopped.report.drained, 0, "no connection was left to drain");
    assert_eq!(stopped.count("totals opens=1 processes=1 closes=1"), 1, "{:#?}", stopped.lines);
}
