//! The examples that no other suite runs do what they say; and those of Node as they stand, since for some another program
//! stands in elsewhere.

use reactor_tests::{Mode, Server, in_each_mode, in_each_mode_of_node};

in_each_mode!(counter_counts_and_closes, discard_drops_each_connection);

in_each_mode_of_node!(counter_counts_and_closes, discard_drops_each_connection,);

fn counter_counts_and_closes(mode: Mode) {
    let server = Server::example_in(mode, "counter", &[]);
    for size in [1, 10, 1_000] {
        let mut client = server.connect();
        client.send(&vec![b'x'; size]);
        let reply = client.receive_to_end();
        assert_eq!(reply, format!("Received {size} bytes\n").as_bytes());
    }
    server.stop().report.assert_nothing_lost();
}

fn discard_drops_each_connection(mode: Mode) {
    let server = Server::example_in(mode, "discard", &[]);
    for _ in 0..20 {
        server.connect().expect_dropped();
    }
    let report = server.stop().report;
    report.assert_nothing_lost();
    // On Node it has taken each, and closes it: the client's farewell to the last may still be on its way.
    assert!(report.drained == 0 || mode.is_node(), "it has taken none, and drained {}", report.drained);
}

#[test]
fn node_example_chat_lets_all_hear_what_one_says() {
    let server = Server::node_example("chat", &[]);
    let (mut ann, mut bob) = (server.connect(), server.connect());
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.receive_until(b"\n"), b"* your name?\n");
    }
    ann.send(b"Ann\n");
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.receive_until(b"\n"), b"* Ann is here\n");
    }
    ann.send(b"hello\r\n");
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.receive_until(b"\n"), b"Ann: hello\n");
    }
    drop(ann);
    assert_eq!(bob.receive_until(b"\n"), b"* Ann has left\n");
    server.stop_with(vec![bob]).report.assert_nothing_lost();
}

#[test]
fn node_example_cpu_counts_primes_on_its_workers() {
    let server = Server::node_example("cpu", &["--workers", "2"]);
    let (mut one, mut other) = (server.connect(), server.connect());
    one.ask(b"1000000\n", b"78498 primes below 1000000\n");
    other.ask(b"ten\n", b"a whole number, please\n");
    one.ask(b"100\n", b"25 primes below 100\n");
    server.stop_with(vec![one, other]).report.assert_nothing_lost();
}

#[test]
fn node_example_echo_gives_back_what_it_is_sent() {
    for args in [&["--compute-ms", "1"][..], &["--compute-ms", "1", "--module", "--workers", "2"]] {
        let server = Server::node_example("echo", args);
        assert_eq!(server.connect().exchange(b"a\nb\n"), b"a\nb\n");
        server.stop().report.assert_nothing_lost();
    }
}

#[test]
fn node_example_counter_counts_and_closes() {
    let server = Server::node_example("counter", &[]);
    let mut client = server.connect();
    client.send(b"a\nb\n");
    assert_eq!(client.receive_to_end(), b"Received 4 bytes\n");
    drop(client);
    server.stop().report.assert_nothing_lost();
}

#[test]
fn node_example_discard_drops_and_logs_who_came() {
    let mut server = Server::node_example("discard", &[]);
    server.connect().expect_dropped();
    server.expect_line("dropped 127.0.0.1:");
    server.stop().report.assert_nothing_lost();
}

#[test]
fn node_example_http_mock_answers_each_request_head() {
    let server = Server::node_example("http_mock", &[]);
    let mut client = server.connect();
    for _ in 0..2 {
        client.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n");
        let head = client.receive_until(b"\r\n\r\n");
        assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", head.escape_ascii());
        assert_eq!(client.receive(6), b"hello\n");
    }
    server.stop_with(vec![client]).report.assert_nothing_lost();
}
