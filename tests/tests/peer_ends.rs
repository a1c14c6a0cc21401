//! What the suites of libuv, libevent and netty hold of ends, against a C server: each connection ends once, with its
//! reason, after all that was due, whoever ends it and however often.

use std::io::Write;

use reactor_tests::load::connect_narrow_from;
use reactor_tests::peers::{peer_server, peer_server_with_one_reactor, processor_time};
use reactor_tests::{Mode, alphabet, assert_same_bytes, descriptors, in_each_mode, run_program, wait_until};

in_each_mode!(
    a_connection_that_is_shut_many_times_ends_once,
    both_sides_may_end_at_once,
    nothing_is_written_after_the_shutdown,
    an_end_of_input_is_told_once_and_costs_nothing_while_a_reply_is_due,
    a_descriptor_number_that_is_used_again_at_once_confuses_nobody,
    four_thousand_connections_leave_no_descriptor_over,
    what_is_meant_for_an_ended_connection_never_reaches_the_next_in_its_slot,
    quiet_stalled_and_unread_connections_each_end_with_their_timeout,
    a_connection_cut_in_its_callback_is_a_reset_and_others_go_on,
    a_close_in_on_open_ends_that_connection_alone,
    a_close_in_process_answers_what_was_admitted,
    a_close_in_the_framing_callback_ends_that_connection_alone,
    a_close_in_on_close_finds_it_gone,
    an_abort_in_on_open_ends_that_connection_alone,
    an_abort_in_process_ends_that_connection_alone,
    an_abort_in_the_framing_callback_ends_that_connection_alone,
    an_abort_in_on_close_finds_it_gone,
);

// libuv: shutdown-twice.
fn a_connection_that_is_shut_many_times_ends_once(mode: Mode) {
    let mut server = peer_server(mode, "");
    for _ in 0..50 {
        let mut client = server.connect();
        client.send(b"shut 5\nwrite 10\n");
        let received = client.receive_to_end();
        // What was admitted when the first of the closes came is answered: the second line may be.
        assert!(received == b"bye\n" || received == b"bye\nabcdefghij", "{}", received.escape_ascii());
        drop(client);
        assert!(server.expect_line("close ").ends_with("reason=LOCAL os_error=0"));
    }
    let stopped = server.stop();
    stopped.report.assert_nothing_lost();
    assert_eq!((stopped.count("open "), stopped.count("close ")), (50, 50));
}

// libuv: tcp-shutdown-simultaneous (both ends shut down before they have seen the other's FIN).
fn both_sides_may_end_at_once(mode: Mode) {
    let server = peer_server(mode, "");
    for turn in 0..300 {
        let mut client = server.connect();
        client.send(b"close 10\n");
        if turn % 2 == 0 {
            client.finish();
        }
        assert_same_bytes(&client.receive_to_end(), &alphabet(10));
        if turn % 2 == 1 {
            client.finish();
        }
    }
    let stopped = server.stop();
    stopped.report.assert_nothing_lost();
    assert_eq!(stopped.count("open "), 300);
    let ends = stopped.lines.iter().filter(|line| line.contains(" reason=LOCAL ") || line.contains(" reason=PEER "));
    assert_eq!(ends.count(), 300, "{:#?}", stopped.lines);
}

// libuv: tcp-write-after-shutdown. Others push to it all the while: it sees whole messages, its last reply, and the end.
fn nothing_is_written_after_the_shutdown(mode: Mode) {
    let server = peer_server(mode, "quiet=1");
    let mut speaker = server.connect();
    for _ in 0..50 {
        let mut client = server.connect();
        client.ask(b"write 1\n", b"a");
        speaker.send(&b"cast 100\n".repeat(10));
        client.send(b"shut 1\n");
        let received = client.receive_to_end();
        let stars = received.iter().filter(|&&byte| byte == b'*').count();
        assert_eq!(stars % 100, 0, "a message is cut: {}", received.escape_ascii());
        let rest: Vec<u8> = received.iter().copied().filter(|&byte| byte != b'*').collect();
        assert_same_bytes(&rest, b"bye\n");
        drop(client);
        // The program itself checks that a push to a connection which has closed is GONE.
        assert_eq!(speaker.receive(10 * 104).iter().filter(|&&byte| byte == b'*').count(), 1_000);
    }
    server.stop_with(vec![speaker]).report.assert_nothing_lost();
}

// libuv: tcp-read-stop-after-eof, "EOF repeats harmlessly". A FIN stays readable for ever: who asks again and again spins.
fn an_end_of_input_is_told_once_and_costs_nothing_while_a_reply_is_due(mode: Mode) {
    let mut server = peer_server_with_one_reactor(mode, "");
    let mut client = server.connect();
    client.send(b"gate\n");
    server.expect_line("process waits");
    client.finish();
    client.wait_until_delivered();
    let mut bystander = mode.has_workers().then(|| server.connect());
    // Where a worker waits, the loop has seen the FIN when it has answered this.
    bystander.iter_mut().for_each(|other| (0..2).for_each(|_| other.ask(b"write 1\n", b"a")));
    let before = processor_time(server.pid());
    let idle = std::time::Duration::from_millis(300);
    client.stream().set_read_timeout(Some(idle)).expect("the stream is open");
    let waited = std::io::Read::read(&mut client.stream(), &mut [0]);
    assert!(waited.is_err(), "the reply is held by the gate: {waited:?}");
    let used = processor_time(server.pid()) - before;
    assert!(used < idle / 5, "it used {used:?} of {idle:?} while nothing was to be done");
    server.tell("go 0");
    client.stream().set_read_timeout(Some(reactor_tests::DEADLINE)).expect("the stream is open");
    assert_same_bytes(&client.receive_to_end(), b"gate\n");
    assert!(server.expect_line("close ").ends_with("reason=PEER os_error=0"));
    let stopped = server.stop_with(bystander.into_iter().collect());
    stopped.report.assert_nothing_lost();
}

// libuv: tcp-close-accept and kin. The host takes each number that a connection gives back for a file of its own, and new
// connections take the others: no event of the old reaches the new.
fn a_descriptor_number_that_is_used_again_at_once_confuses_nobody(mode: Mode) {
    let server = peer_server(mode, "take=1,quiet=1");
    let mut bystander = server.connect();
    for turn in 0..500 {
        let line = format!("echo {turn}\n").into_bytes();
        let (mut first, mut second) = (server.connect(), server.connect());
        first.ask(&line, &line);
        if turn % 3 == 0 {
            first.reset();
        } else {
            drop(first);
        }
        let mut third = server.connect();
        third.send(&line);
        second.ask(&line, &line);
        assert_same_bytes(&third.receive(line.len()), &line);
        bystander.ask(&line, &line);
    }
    server.stop_with(vec![bystander]).report.assert_nothing_lost();
}

// libevent: descriptor leaks over 4 000 requests.
fn four_thousand_connections_leave_no_descriptor_over(mode: Mode) {
    let server = peer_server(mode, "quiet=1");
    server.connect().ask(b"write 1\n", b"a");
    let mut bystander = server.connect();
    bystander.ask(b"write 1\n", b"a");
    let open = |bystander: &mut reactor_tests::Client| {
        bystander.send(b"stats\n");
        bystander.receive_until(b"\n").starts_with(b"open=1 ")
    };
    wait_until("the first connection to be closed", || open(&mut bystander));
    let before = descriptors(server.pid());
    for _ in 0..4_000 {
        server.connect().ask(b"write 2\n", b"ab");
    }
    wait_until("all connections to be closed", || open(&mut bystander));
    assert_eq!(descriptors(server.pid()), before);
    server.stop_with(vec![bystander]).report.assert_nothing_lost();
}

// R6: pushes and late replies race with ends and with the next connection in the same slot. No foreign byte anywhere.
fn what_is_meant_for_an_ended_connection_never_reaches_the_next_in_its_slot(mode: Mode) {
    let lines = run_program("peer_reuse", &[mode.args(), &["--variant", "1000"]].concat());
    let late: u64 =
        lines.iter().find_map(|line| line.split(" gone=").nth(1)?.split(' ').next()?.parse().ok()).unwrap_or(0);
    assert!(late > 100, "too few pushes came late to show anything: {lines:#?}");
}

// libuv, netty: idle, read and write timeouts, each with its reason.
fn quiet_stalled_and_unread_connections_each_end_with_their_timeout(mode: Mode) {
    // Long enough for a busy machine to ask in time.
    let mut server = peer_server(mode, "idle_ms=1000");
    let mut quiet = server.connect();
    quiet.ask(b"write 1\n", b"a");
    quiet.expect_end();
    drop(quiet);
    assert!(server.expect_line("close ").ends_with("reason=IDLE_TIMEOUT os_error=0"));
    server.stop().report.assert_nothing_lost();

    let mut server = peer_server(mode, "frame_ms=200");
    let mut stalled = server.connect();
    stalled.send(b"write 1\nwri");
    assert_same_bytes(&stalled.receive_to_end(), b"a");
    drop(stalled);
    assert!(server.expect_line("close ").ends_with("reason=FRAME_TIMEOUT os_error=0"));
    server.stop().report.assert_nothing_lost();

    // More than the server's send buffer (tcp_wmem has a maximum of 4 MiB) and the client's narrow one take.
    let mut server = peer_server(mode, "write_ms=300,high=16777216,low=1");
    let mut unread = connect_narrow_from(0, server.address());
    unread.write_all(&b"write 4000000\n".repeat(4)).expect("the server takes a few lines");
    let line = server.expect_line("close ");
    assert!(line.contains(" reason=WRITE_TIMEOUT "), "{line}");
    drop(unread);
    server.stop();
}

// libuv: tcp-close-reset.
fn a_connection_cut_in_its_callback_is_a_reset_and_others_go_on(mode: Mode) {
    let mut server = peer_server(mode, "");
    let mut bystander = server.connect();
    for _ in 0..100 {
        let mut client = server.connect();
        client.send(b"abort\n");
        client.expect_dropped();
        assert!(server.expect_line("close ").ends_with("reason=LOCAL os_error=0"));
        bystander.ask(b"write 2\n", b"ab");
    }
    server.stop_with(vec![bystander]).report.assert_nothing_lost();
}

/// libuv: close in every callback. The program ends a hundred connections so, beside one that goes on.
fn ends(mode: Mode, variant: &str) {
    run_program("peer_hosts", &[mode.args(), &["--variant", variant]].concat());
}

fn a_close_in_on_open_ends_that_connection_alone(mode: Mode) {
    ends(mode, "close-in-open");
}

fn a_close_in_process_answers_what_was_admitted(mode: Mode) {
    ends(mode, "close-in-process");
}

fn a_close_in_the_framing_callback_ends_that_connection_alone(mode: Mode) {
    ends(mode, "close-in-frame");
}

fn a_close_in_on_close_finds_it_gone(mode: Mode) {
    ends(mode, "close-in-close");
}

fn an_abort_in_on_open_ends_that_connection_alone(mode: Mode) {
    ends(mode, "abort-in-open");
}

fn an_abort_in_process_ends_that_connection_alone(mode: Mode) {
    ends(mode, "abort-in-process");
}

fn an_abort_in_the_framing_callback_ends_that_connection_alone(mode: Mode) {
    ends(mode, "abort-in-frame");
}

fn an_abort_in_on_close_finds_it_gone(mode: Mode) {
    ends(mode, "abort-in-close");
}
