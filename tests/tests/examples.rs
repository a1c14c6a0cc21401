//! The examples that no other suite runs do what they say.

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
