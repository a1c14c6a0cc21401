//! Owns the promises of reading: every byte is seen once, whatever the system makes of its arrival, and nobody's bytes
//! keep another's waiting. Knows the public API alone.

#[expect(dead_code, unused_imports, reason = "each suite uses its part")]
mod harness;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use harness::{Client, WAIT, Wiring, echo, in_each_mode, lines, pattern, prefix, serve, serve_gated, until};
use reactor_core::{CloseReason, Deferred, Failed, Framing, Order};
use socket2::SockRef;

in_each_mode!(
    data_and_fin_that_come_as_one_event_are_both_seen,
    much_data_and_a_fin_that_come_as_one_event_are_all_seen,
    a_fin_that_comes_while_reading_is_paused_is_seen_later,
    bytes_that_come_one_by_one_make_whole_frames,
    raw_bytes_in_random_portions_come_back_as_they_were,
    one_that_floods_keeps_nobody_waiting,
    others_have_their_turn_before_all_that_one_read_brought_has_begun,
    out_of_band_bytes_are_no_part_of_any_frame,
    what_lies_behind_out_of_band_bytes_is_read,
    a_reset_is_noticed_while_a_deferred_reply_pauses_reading,
    a_reset_is_noticed_while_output_pauses_reading,
    a_reset_is_noticed_on_a_quiet_connection,
    a_reset_that_came_with_more_requests_than_may_run_is_noticed,
);

fn data_and_fin_that_come_as_one_event_are_both_seen(wiring: Wiring) {
    let (server, events, gate) = serve_gated(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range");
        },
        echo,
    );
    let blockers = gate.shut(wiring, &server, &events);
    let clients: Vec<Client> = (0..10).map(|_| Client::connect(&server)).collect();
    for client in &clients {
        client.send(b"all there is\n");
        client.finish();
    }
    gate.open();
    for client in &clients {
        assert_eq!(client.receive_to_end().expect("a FIN"), b"all there is\n");
        assert_eq!(events.closed().reason, CloseReason::Peer);
    }
    drop(blockers);
}

fn much_data_and_a_fin_that_come_as_one_event_are_all_seen(wiring: Wiring) {
    let (server, events, gate) = serve_gated(wiring, |_| {}, echo);
    let blockers = gate.shut(wiring, &server, &events);
    // More than one read takes, and what the system holds for a connection that nobody reads.
    let bytes = pattern(1, 100_000);
    let clients: Vec<Client> = (0..5).map(|_| Client::connect(&server)).collect();
    for client in &clients {
        SockRef::from(&client.stream).set_send_buffer_size(256 * 1024).expect("a buffer may be large");
        client.send(&bytes);
        client.finish();
    }
    gate.open();
    for client in &clients {
        assert!(client.receive_to_end().expect("a FIN") == bytes, "the echo differs");
    }
    drop(blockers);
}

fn a_fin_that_comes_while_reading_is_paused_is_seen_later(wiring: Wiring) {
    let (promises, open) = channel::<Deferred>();
    let (server, events) = serve(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range").set_max_in_flight(1).expect("in range");
        },
        move |request, reply, server| {
            if request == b"later\n" {
                return promises.send(reply.defer().map_err(|_| Failed)?).map_err(|_| Failed);
            }
            echo(request, reply, server)
        },
    );
    let client = Client::connect(&server);
    client.send(b"later\n");
    let deferred = open.recv_timeout(WAIT).expect("the request begins");
    client.send(b"and more\n");
    client.finish();
    deferred.complete(b"now\n").expect("the connection is open");
    assert_eq!(client.receive_to_end().expect("a FIN"), b"now\nand more\n");
    assert_eq!(events.closed().reason, CloseReason::Peer);
}

fn bytes_that_come_one_by_one_make_whole_frames(wiring: Wiring) {
    let (server, _events) = serve(
        wiring,
        |options| {
            options.set_framing(prefix(4, false)).expect("in range");
        },
        echo,
    );
    let client = Client::connect(&server);
    let frames: Vec<u8> = [0, 1, 2, 300, 0, 7].iter().flat_map(|len| harness::count(&pattern(*len, *len))).collect();
    let sender = client.twin();
    let sent = frames.clone();
    let sending = thread::spawn(move || {
        for byte in sent {
            sender.send(&[byte]);
        }
        sender.finish();
    });
    assert!(client.receive_to_end().expect("a FIN") == frames, "the echo differs");
    sending.join().expect("all is sent");
}

fn raw_bytes_in_random_portions_come_back_as_they_were(wiring: Wiring) {
    const LEN: usize = 4 * 1024 * 1024;
    let (server, _events) = serve(wiring, |_| {}, echo);
    let clients: Vec<_> = (0..4)
        .map(|seed| {
            let client = Client::connect(&server);
            thread::spawn(move || {
                let bytes = Arc::new(pattern(seed, LEN));
                let sender = client.twin();
                let sent = Arc::clone(&bytes);
                let sending = thread::spawn(move || {
                    let mut at = 0;
                    while at < sent.len() {
                        // From one byte to a little over what one read takes.
                        let portion = usize::from(u16::from_be_bytes([sent[at], sent[at / 2]])) + 1;
                        let end = sent.len().min(at + portion);
                        sender.send(&sent[at..end]);
                        at = end;
                    }
                    sender.finish();
                });
                assert!(client.receive_to_end().expect("a FIN") == *bytes, "the echo differs");
                sending.join().expect("all is sent");
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("its bytes came back"));
}

fn one_that_floods_keeps_nobody_waiting(wiring: Wiring) {
    const FRAME: usize = 32;
    let (server, _events) = serve(
        wiring,
        |options| {
            options.set_framing(Framing::Fixed(FRAME)).expect("in range");
        },
        echo,
    );
    let flooding = Client::connect(&server);
    let (enough, echoed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let sender = flooding.stream.try_clone().expect("a descriptor");
    let is_enough = Arc::clone(&enough);
    let sending = thread::spawn(move || {
        while !is_enough.load(Ordering::SeqCst) {
            (&sender).write_all(&[b'f'; 1024 * FRAME]).expect("the server takes it in time");
        }
        sender.shutdown(std::net::Shutdown::Write).expect("the connection is open");
    });
    let echoes = Arc::clone(&echoed);
    let receiving = thread::spawn(move || {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let len = (&flooding.stream).read(&mut buffer).expect("the echo comes in time");
            if len == 0 {
                return;
            }
            assert!(buffer[..len].iter().all(|byte| *byte == b'f'));
            echoes.fetch_add(len as u64, Ordering::SeqCst);
        }
    });
    until("it floods", || echoed.load(Ordering::SeqCst) > 1_000_000);
    let clients: Vec<Client> = (0..20).map(|_| Client::connect(&server)).collect();
    let before = echoed.load(Ordering::SeqCst);
    for number in 0..50 {
        for client in &clients {
            client.ping(format!("{number:<FRAME$}").as_bytes());
        }
    }
    until("it floods still", || echoed.load(Ordering::SeqCst) > before);
    enough.store(true, Ordering::SeqCst);
    sending.join().expect("it only sends");
    receiving.join().expect("its echo is right");
}

/// A turn is bounded in requests and not just in bytes: thousands of small ones fit one read.
fn others_have_their_turn_before_all_that_one_read_brought_has_begun(wiring: Wiring) {
    const FLOOD: usize = 4_000;
    let (told, order) = channel();
    let (server, events, gate) = serve_gated(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range");
            options.set_max_in_flight(2 * FLOOD as u32).expect("in range");
        },
        move |request, reply, _| {
            let _ = told.send(request[0]);
            reply.write(request).map_err(|_| Failed)
        },
    );
    let flooder = Client::connect(&server);
    flooder.ping(b"a\n");
    // Connections go to the reactors in turn: the last of these has the flooder's.
    let others: Vec<_> = (0..wiring.reactors()).map(|_| Client::connect(&server)).collect();
    others.iter().for_each(|other| other.ping(b"b\n"));
    let other = &others[others.len() - 1];
    let blockers = gate.shut(wiring, &server, &events);
    flooder.send(&b"f\n".repeat(FLOOD));
    other.send(b"o\n");
    gate.open();
    assert_eq!(other.receive(2), b"o\n");
    assert!(flooder.receive(2 * FLOOD) == b"f\n".repeat(FLOOD), "the flood is answered, all of it");
    let before = order.try_iter().filter(|of| b"fo".contains(of)).take_while(|of| *of == b'f').count();
    assert!(before < FLOOD / 2, "{before} of {FLOOD} requests of one connection began before the only one of another");
    drop(blockers);
}

fn out_of_band_bytes_are_no_part_of_any_frame(wiring: Wiring) {
    let (server, events) = serve(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range");
        },
        echo,
    );
    let client = Client::connect(&server);
    for _ in 0..20 {
        client.send(b"before ");
        SockRef::from(&client.stream).send_out_of_band(b"!").expect("the system takes it");
        client.send(b"and after\n");
        assert_eq!(client.receive(17), b"before and after\n");
    }
    client.finish();
    assert_eq!(client.receive_to_end().expect("a FIN"), b"");
    assert_eq!(events.closed().reason, CloseReason::Peer);
}

/// A read stops short at the mark (tcp(7)), and what lies behind it has no event of its own.
fn what_lies_behind_out_of_band_bytes_is_read(wiring: Wiring) {
    let (server, events, gate) = serve_gated(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range");
        },
        echo,
    );
    let client = Client::connect(&server);
    client.ping(b"ping\n");
    events.opened();
    let blockers = gate.shut(wiring, &server, &events);
    client.send(b"before ");
    SockRef::from(&client.stream).send_out_of_band(b"!").expect("the system takes it");
    client.send(b"and after\n");
    gate.open();
    assert_eq!(client.receive(17), b"before and after\n");
    drop(blockers);
}

/// errno(3).
const ECONNRESET: i32 = 104;

fn a_reset_is_noticed_while_a_deferred_reply_pauses_reading(wiring: Wiring) {
    for order in [Order::Serial, Order::Parallel] {
        let (promises, open) = channel::<Deferred>();
        let (server, events) = serve(
            wiring,
            |options| {
                options.set_framing(lines(false)).expect("in range").set_order(order);
                options.set_max_in_flight(1).expect("in range");
            },
            move |_, reply, _| promises.send(reply.defer().map_err(|_| Failed)?).map_err(|_| Failed),
        );
        let client = Client::connect(&server);
        client.send(b"later\nand more\n");
        let deferred = open.recv_timeout(WAIT).expect("the request begins");
        until("reading pauses", || server.stats(None).expect("all of them").reads_paused > 0);
        client.reset();
        let closed = events.closed();
        assert_eq!((closed.reason, closed.os_error), (CloseReason::Reset, ECONNRESET), "{order:?}");
        assert_eq!(deferred.complete(b"late\n").expect_err("nobody is there").kind(), reactor_core::ErrorKind::Gone);
        until("it is counted", || server.stats(None).expect("all of them").connections_open == 0);
        let stats = server.stats(None).expect("all of them");
        assert_eq!((stats.connections_reset, stats.requests_in_flight, stats.memory_bytes), (1, 0, 0));
    }
}

fn a_reset_is_noticed_while_output_pauses_reading(wiring: Wiring) {
    let (server, events) = serve(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range").set_write_timeout_ms(0);
        },
        |_, reply, _| reply.write(&[b'r'; 64 * 1024]).map_err(|_| Failed),
    );
    let client = Client::connect_narrow(&server);
    client.send(&b"ask\n".repeat(500));
    until("reading pauses", || server.stats(None).expect("all of them").reads_paused > 0);
    until("nothing more is taken", || {
        let before = server.stats(None).expect("all of them").bytes_out;
        !harness::comes_within(Duration::from_millis(50), || {
            server.stats(None).expect("all of them").bytes_out != before
        })
    });
    client.reset();
    let closed = events.closed();
    assert_eq!(closed.reason, CloseReason::Reset);
    // A write may find it first (EPIPE follows the reset that a read would have found).
    assert!([ECONNRESET, 32].contains(&closed.os_error), "errno {}", closed.os_error);
}

/// Reading pauses before it gets as far as the error, and no second event tells of that.
fn a_reset_that_came_with_more_requests_than_may_run_is_noticed(wiring: Wiring) {
    let (kept, promises) = channel();
    let (server, events, gate) = serve_gated(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range").set_order(Order::Parallel);
            options.set_max_in_flight(1).expect("in range");
        },
        move |request, reply, _| {
            if request.len() == 2 {
                return reply.write(request).map_err(|_| Failed);
            }
            kept.send(reply.defer().expect("the first time")).map_err(|_| Failed)
        },
    );
    let client = Client::connect(&server);
    client.ping(b"a\n");
    let blockers = gate.shut(wiring, &server, &events);
    client.send(&b"never answered\n".repeat(5));
    client.reset();
    gate.open();
    assert_eq!(events.closed().reason, CloseReason::Reset);
    drop((blockers, promises));
}

fn a_reset_is_noticed_on_a_quiet_connection(wiring: Wiring) {
    let (server, events) = serve(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range");
        },
        echo,
    );
    for partial in [&b""[..], b"a partial frame", &[b'p'; 20_000]] {
        let client = Client::connect(&server);
        client.ping(b"ping\n");
        client.send(partial);
        client.reset();
        let closed = events.closed();
        assert_eq!((closed.reason, closed.os_error), (CloseReason::Reset, ECONNRESET));
    }
}
