//! What a callback writes is what the client reads, in whichever way it was written.

use std::thread;

use reactor_tests::{Mode, Server, alphabet, assert_closed, assert_same_bytes, in_each_mode, in_each_mode_of_node};

in_each_mode!(
    every_way_of_writing_gives_the_same_bytes,
    a_reply_that_is_empty_or_never_written_sends_nothing,
    replies_of_every_size_come_in_order,
    what_would_pass_the_output_limit_is_refused_and_the_rest_sent,
    reply_close_sends_its_reply_then_fin_though_bytes_still_come,
    reply_close_leaves_later_requests_unanswered,
    a_callback_that_fails_sends_the_replies_before_it,
    a_failing_callback_costs_its_own_connection,
);

in_each_mode_of_node!(
    every_way_of_writing_gives_the_same_bytes,
    a_reply_that_is_empty_or_never_written_sends_nothing,
    replies_of_every_size_come_in_order,
    what_would_pass_the_output_limit_is_refused_and_the_rest_sent,
    reply_close_sends_its_reply_then_fin_though_bytes_still_come,
    reply_close_leaves_later_requests_unanswered,
    a_callback_that_fails_sends_the_replies_before_it,
    a_failing_callback_costs_its_own_connection,
);

fn every_way_of_writing_gives_the_same_bytes(mode: Mode) {
    let server = Server::program_in(mode, "commands", &[]);
    let mut client = server.connect();
    for size in [1, 2, 26, 1_000, 4_096, 65_536, 100_000] {
        for verb in ["write", "pieces", "reserve", "mixed"] {
            client.ask(format!("{verb} {size}\n").as_bytes(), &alphabet(size));
        }
    }
    // The largest that one reply may be.
    client.ask(b"reserve 4194304\n", &alphabet(4_194_304));
}

fn a_reply_that_is_empty_or_never_written_sends_nothing(mode: Mode) {
    let server = Server::program_in(mode, "commands", &[]);
    let mut client = server.connect();
    client.ask(b"silent\nempty\nwrite 0\nreserve 0\nmixed 0\nwrite 3\nsilent\nempty\nwrite 2\n", b"abcab");
    client.send(b"silent\nempty\n");
    client.finish();
    client.expect_end();
}

fn replies_of_every_size_come_in_order(mode: Mode) {
    let server = Server::program_in(mode, "commands", &[]);
    let sizes: Vec<usize> = (0..2_000).map(|index| index * 7_919 % 3_000).collect();
    let requests: String = sizes.iter().map(|size| format!("write {size}\n")).collect();
    let expected: Vec<u8> = sizes.iter().flat_map(|&size| alphabet(size)).collect();
    assert_same_bytes(&server.connect().exchange(requests.as_bytes()), &expected);
    server.stop().report.assert_nothing_lost();
}

fn what_would_pass_the_output_limit_is_refused_and_the_rest_sent(mode: Mode) {
    let server = Server::program_in(mode, "commands", &[]);
    let mut client = server.connect();
    client.ask(b"over 1000\n", &alphabet(1_000));
    client.ask(b"over 1\nwrite 2\n", b"aab");
}

fn reply_close_sends_its_reply_then_fin_though_bytes_still_come(mode: Mode) {
    let mut server = Server::program_in(mode, "commands", &[]);
    let mut client = server.connect();
    client.send(b"close 100000\n");
    // Nobody reads the reply before a mebibyte more has gone out: a reset for it would show as an error here or there.
    let chunk = [b'x'; 4096];
    for _ in 0..256 {
        client.send(&chunk);
    }
    assert_same_bytes(&client.receive_to_end(), &alphabet(100_000));
    client.send(&chunk);
    drop(client);
    assert_closed(&server.expect_line("close "), "LOCAL");
    server.stop().report.assert_nothing_lost();
}

fn reply_close_leaves_later_requests_unanswered(mode: Mode) {
    let mut server = Server::program_in(mode, "commands", &[]);
    let mut client = server.connect();
    client.send(b"write 10\nclose 20\nwrite 30\nfail 40\n");
    assert_same_bytes(&client.receive_to_end(), &[alphabet(10), alphabet(20)].concat());
    client.finish();
    assert_closed(&server.expect_line("close "), "LOCAL");
}

fn a_callback_that_fails_sends_the_replies_before_it(mode: Mode) {
    let mut server = Server::program_in(mode, "commands", &[]);
    let mut client = server.connect();
    client.send(b"write 100000\nwrite 1000\nfail 10\nwrite 20\n");
    assert_same_bytes(&client.receive_to_end(), &[alphabet(100_000), alphabet(1_000)].concat());
    client.finish();
    assert_closed(&server.expect_line("close "), "CALLBACK_FAILED");
}

fn a_failing_callback_costs_its_own_connection(mode: Mode) {
    let server = Server::program_in(mode, "commands", &[]);
    let mut bystander = server.connect();
    let address = server.address();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                for _ in 0..25 {
                    let mut client = reactor_tests::Client::connect(address);
                    client.send(b"write 1\nfail 1\n");
                    assert_same_bytes(&client.receive_to_end(), b"a");
                }
            });
        }
        for _ in 0..100 {
            bystander.ask(b"write 1000\n", &alphabet(1_000));
        }
    });
    let stopped = server.stop_with(vec![bystander]);
    stopped.report.assert_nothing_lost();
    assert_eq!(stopped.count("totals opens=101 closes=101"), 1, "{:#?}", stopped.lines);
}
