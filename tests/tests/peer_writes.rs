//! What the suites of libuv, libevent and netty hold of writes, against a C server: every byte once, in order, and counted,
//! however the system cuts it and whoever is gone meanwhile.

use std::io::{IoSlice, Write};
use std::thread;

use reactor_tests::peers::{peer_server, peer_server_with_one_reactor};
use reactor_tests::{
    Client, Mode, Server, alone, alphabet, assert_same_bytes, in_each_mode, pseudo_random_bytes, run_program,
};
use socket2::SockRef;

in_each_mode!(
    ping_and_pong_ten_thousand_times,
    what_was_written_from_many_slices_comes_back_whole,
    a_huge_transfer_is_counted_to_the_byte,
    every_queued_write_arrives_in_order_though_the_peer_takes_little_at_a_time,
    back_to_back_writes_keep_their_order,
    a_write_to_a_half_open_connection_ends_it_with_a_reason,
    a_last_reply_is_flushed_before_the_fin_though_the_peer_is_slow,
    a_write_in_a_read_callback_arrives_before_the_reply,
    broadcasts_reach_many_slow_peers_whole,
);

/// A client whose system takes little at a time, so that a server's writes are partial.
fn tight_client(server: &Server) -> Client {
    let client = server.connect();
    SockRef::from(client.stream()).set_recv_buffer_size(64 * 1024).expect("any socket takes SO_RCVBUF");
    client
}

// libuv: ping-pong.
fn ping_and_pong_ten_thousand_times(mode: Mode) {
    let server = peer_server(mode, "framing=raw,quiet=1");
    let mut client = server.connect();
    for round in 0..10_000_u32 {
        let message = round.to_le_bytes();
        client.ask(&message, &message);
    }
    let stopped = server.stop_with(vec![client]);
    stopped.report.assert_nothing_lost();
    assert_eq!(stopped.count("totals opens=1 processes=10000 closes=1"), 1, "{:#?}", stopped.lines);
}

// libuv: tcp-write-in-a-row, vectored echo. One write of many slices, some of them empty, is one stream of bytes.
fn what_was_written_from_many_slices_comes_back_whole(mode: Mode) {
    let server = peer_server(mode, "framing=raw,quiet=1");
    let mut client = server.connect();
    for seed in 0..50 {
        let bytes = pseudo_random_bytes(40_000, seed);
        let cuts = pseudo_random_bytes(200, seed + 1_000);
        let mut parts = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts {
            let (part, behind) = rest.split_at(rest.len().min(usize::from(cut)));
            parts.push(IoSlice::new(part));
            rest = behind;
        }
        parts.push(IoSlice::new(rest));
        let mut parts = &mut parts[..];
        while !parts.is_empty() {
            let written = client.stream().write_vectored(parts).expect("the server takes them");
            IoSlice::advance_slices(&mut parts, written);
        }
        assert_same_bytes(&client.receive(bytes.len()), &bytes);
    }
    server.stop_with(vec![client]).report.assert_nothing_lost();
}

// libevent, netty: a huge transfer, counted. 32 MiB through one connection, compared as they come.
fn a_huge_transfer_is_counted_to_the_byte(mode: Mode) {
    const CHUNK: usize = 1024 * 1024;
    let _alone = alone();
    let server = peer_server(mode, "framing=raw,quiet=1");
    let mut client = server.connect();
    let mut writer = client.another_hand();
    thread::scope(|scope| {
        scope.spawn(move || {
            (0..32).for_each(|seed| writer.send(&pseudo_random_bytes(CHUNK, seed)));
            writer.finish();
        });
        (0..32).for_each(|seed| assert_same_bytes(&client.receive(CHUNK), &pseudo_random_bytes(CHUNK, seed)));
        client.expect_end();
    });
    server.stop().report.assert_nothing_lost();
}

// libuv: tcp-writealot. Two thousand numbered pushes to a peer that takes few KiB at a time: none is lost, doubled or late.
fn every_queued_write_arrives_in_order_though_the_peer_takes_little_at_a_time(mode: Mode) {
    let server = peer_server(mode, "quiet=1");
    let mut client = tight_client(&server);
    client.send(b"sends 2000 1000\n");
    for number in 0..2_000 {
        let message = client.receive(1_000);
        let begins = format!("#{number:06}:");
        assert!(message.starts_with(begins.as_bytes()), "{} instead of {begins}", message[..8].escape_ascii());
        assert!(message[8..].iter().all(|&byte| byte == b'.'));
    }
    assert_same_bytes(&client.receive(4), b"end\n");
    server.stop_with(vec![client]).report.assert_nothing_lost();
}

// libuv: tcp-write-queue-order.
fn back_to_back_writes_keep_their_order(mode: Mode) {
    let server = peer_server(mode, "quiet=1");
    let mut client = server.connect();
    client.send(&b"sends 10 8\nwrite 5\n".repeat(200));
    let pushes: String = (0..10).map(|number| format!("#{number:06}:")).collect();
    let turn = [pushes.as_bytes(), b"end\n", b"abcde"].concat();
    assert_same_bytes(&client.receive(turn.len() * 200), &turn.repeat(200));
    server.stop_with(vec![client]).report.assert_nothing_lost();
}

// libuv: tcp-write-to-half-open-connection. The peer is gone, and only the write finds out.
fn a_write_to_a_half_open_connection_ends_it_with_a_reason(mode: Mode) {
    let mut server = peer_server_with_one_reactor(mode, "");
    let mut client = server.connect();
    client.send(b"gate\nwrite 4000000\n");
    server.expect_line("process waits");
    let mut bystander = server.connect();
    drop(client);
    server.tell("go 0");
    let line = server.expect_line("close ");
    assert!(line.contains(" reason=RESET os_error="), "{line}");
    bystander.ask(b"write 3\n", b"abc");
    server.stop_with(vec![bystander]).report.assert_nothing_lost();
}

// libuv: shutdown-eof, tcp-shutdown-after-write. Four MB behind a peer that takes few KiB at a time, then FIN and no reset.
fn a_last_reply_is_flushed_before_the_fin_though_the_peer_is_slow(mode: Mode) {
    let mut server = peer_server(mode, "");
    let mut client = tight_client(&server);
    client.send(b"close 4000000\n");
    assert_same_bytes(&client.receive_to_end(), &alphabet(4_000_000));
    drop(client);
    assert!(server.expect_line("close ").ends_with("reason=LOCAL os_error=0"));
    server.stop().report.assert_nothing_lost();
}

// netty: a write during a read callback, to itself and to another.
fn a_write_in_a_read_callback_arrives_before_the_reply(mode: Mode) {
    run_program("peer_hosts", &[mode.args(), &["--variant", "write-in-read"]].concat());
}

// libevent: one buffer written to many. A push to all reaches each whole, though none takes it at once.
fn broadcasts_reach_many_slow_peers_whole(mode: Mode) {
    let server = peer_server(mode, "quiet=1");
    let mut speaker = server.connect();
    let mut peers: Vec<_> = (0..8).map(|_| tight_client(&server)).collect();
    peers.iter_mut().for_each(|peer| peer.ask(b"write 1\n", b"a"));
    for _ in 0..4 {
        speaker.send(b"cast 50000\n");
        // Its own copy comes too; before or after the reply, for it is queued to all alike.
        let heard = speaker.receive(50_004);
        assert_eq!(heard.iter().filter(|&&byte| byte == b'*').count(), 50_000);
    }
    let due = vec![b'*'; 200_000];
    peers.iter_mut().for_each(|peer| assert_same_bytes(&peer.receive(due.len()), &due));
    peers.push(speaker);
    server.stop_with(peers).report.assert_nothing_lost();
}
