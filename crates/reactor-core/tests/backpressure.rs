//! Owns the promises of backpressure: water marks and the limits of one connection. Knows the public API alone.

#[expect(dead_code, unused_imports, reason = "each suite uses its part")]
mod harness;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use harness::{Client, Wiring, count, echo, in_each_mode, lines, pattern, prefix, serve, until};
use reactor_core::{CloseReason, ConnId, Deferred, ErrorKind, Failed, Framing, Order};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

in_each_mode!(
    a_request_begins_only_below_the_high_mark_and_every_byte_is_right,
    in_parallel_replies_in_the_making_pass_the_high_mark_by_no_more_than_max_in_flight,
    replies_within_output_limit_never_close_a_connection,
    others_are_served_while_one_never_reads,
    no_more_than_max_in_flight_requests_begin,
    a_reply_past_output_limit_is_refused_and_stays_as_it_was,
    eight_mebibytes_are_echoed_at_the_default_limits,
    sends_past_output_limit_are_refused_until_the_peer_reads,
);

/// Frames of 64 bytes: room for a number, and small enough that many wait in one read.
const ASK: usize = 64;

fn ask(number: usize) -> Vec<u8> {
    format!("{number:<ASK$}").into_bytes()
}

fn number_in(request: &[u8]) -> usize {
    str::from_utf8(request).expect("a number").trim_end().parse().expect("a number")
}

fn asks(count: usize) -> Vec<u8> {
    (0..count).flat_map(ask).collect()
}

#[track_caller]
fn expect_answers(client: &Client, count: usize, len: usize) {
    for number in 0..count {
        assert!(client.receive(len) == pattern(number, len), "reply {number} is not as it was sent");
    }
}

fn a_request_begins_only_below_the_high_mark_and_every_byte_is_right(wiring: Wiring) {
    const REPLY: usize = 16 * KIB;
    const HIGH: usize = 64 * KIB;
    const LOW: usize = 32 * KIB;
    const COUNT: usize = 1_500;
    let (too_early, too_high) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (early, high) = (Arc::clone(&too_early), Arc::clone(&too_high));
    let begun = Arc::new(AtomicUsize::new(0));
    let begins = Arc::clone(&begun);
    let was_held = AtomicBool::new(false);
    let (server, events) = serve(
        wiring,
        |options| {
            options.set_framing(Framing::Fixed(ASK)).expect("in range");
            options.set_output_water_marks(LOW, HIGH).expect("in order");
        },
        move |request, reply, server| {
            let unsent = |made: usize| made * REPLY - server.stats(None).expect("all of them").bytes_out as usize;
            let made = begins.fetch_add(1, Ordering::SeqCst);
            let due = unsent(made);
            high.fetch_add(u64::from(due >= HIGH), Ordering::SeqCst);
            // On the loop's own thread nothing is sent meanwhile, so what held it is known to the byte.
            let held = !wiring.has_workers() && was_held.load(Ordering::SeqCst);
            early.fetch_add(u64::from(held && due > LOW), Ordering::SeqCst);
            reply.write(&pattern(number_in(request), REPLY)).map_err(|_| Failed)?;
            was_held.store(unsent(made + 1) >= HIGH, Ordering::SeqCst);
            Ok(())
        },
    );
    let client = Client::connect_narrow(&server);
    client.send(&asks(COUNT));
    until("reading pauses", || server.stats(None).expect("all of them").reads_paused > 0);
    until("all that the system takes is sent", || {
        let before = server.stats(None).expect("all of them").bytes_out;
        !harness::comes_within(Duration::from_millis(50), || {
            server.stats(None).expect("all of them").bytes_out != before
        })
    });
    assert!(begun.load(Ordering::SeqCst) < COUNT, "nothing held the requests back");
    expect_answers(&client, COUNT, REPLY);
    client.finish();
    assert_eq!(client.receive_to_end().expect("a FIN"), b"");
    assert_eq!(too_high.load(Ordering::SeqCst), 0, "requests that began at the high mark");
    assert_eq!(too_early.load(Ordering::SeqCst), 0, "requests that began again above the low mark");
    assert_eq!(events.closed().reason, CloseReason::Peer);
}

fn in_parallel_replies_in_the_making_pass_the_high_mark_by_no_more_than_max_in_flight(wiring: Wiring) {
    const REPLY: usize = 8 * KIB;
    const HIGH: usize = 32 * KIB;
    const IN_FLIGHT: usize = 16;
    const COUNT: usize = 2_000;
    let begun = AtomicUsize::new(0);
    let worst = Arc::new(AtomicUsize::new(0));
    let peak = Arc::clone(&worst);
    let (server, _events) = serve(
        wiring,
        |options| {
            options.set_framing(Framing::Fixed(ASK)).expect("in range").set_order(Order::Parallel);
            options.set_output_water_marks(HIGH / 2, HIGH).expect("in order");
            options.set_max_in_flight(IN_FLIGHT as u32).expect("in range");
        },
        move |request, reply, server| {
            let made = begun.fetch_add(1, Ordering::SeqCst) * REPLY;
            let sent = server.stats(None).expect("all of them").bytes_out as usize;
            peak.fetch_max(made.saturating_sub(sent), Ordering::SeqCst);
            reply.write(&pattern(number_in(request), REPLY)).map_err(|_| Failed)
        },
    );
    let client = Client::connect_narrow(&server);
    client.send(&asks(COUNT));
    until("reading pauses", || server.stats(None).expect("all of them").reads_paused > 0);
    expect_answers(&client, COUNT, REPLY);
    let worst = worst.load(Ordering::SeqCst);
    assert!(worst <= HIGH + IN_FLIGHT * REPLY, "{worst} bytes were due or in the making as a request began");
}

fn replies_within_output_limit_never_close_a_connection(wiring: Wiring) {
    const REPLY: usize = 64 * KIB;
    const COUNT: usize = 300;
    for order in [Order::Serial, Order::Parallel] {
        let (server, events) = serve(
            wiring,
            |options| {
                options.set_framing(Framing::Fixed(ASK)).expect("in range").set_order(order);
                options.set_output_water_marks(4 * KIB, 8 * KIB).expect("in order");
                options.set_output_limit_bytes(REPLY).expect("in range");
            },
            |request, reply, _| reply.write(&pattern(number_in(request), REPLY)).map_err(|_| Failed),
        );
        let client = Client::connect_narrow(&server);
        client.send(&asks(COUNT));
        until("reading pauses", || server.stats(None).expect("all of them").reads_paused > 0);
        expect_answers(&client, COUNT, REPLY);
        client.finish();
        assert_eq!(client.receive_to_end().expect("a FIN"), b"");
        assert_eq!(events.closed().reason, CloseReason::Peer, "{order:?}");
    }
}

fn others_are_served_while_one_never_reads(wiring: Wiring) {
    let (server, _events) = serve(
        wiring,
        |options| {
            options.set_framing(Framing::Fixed(ASK)).expect("in range");
        },
        |request, reply, _| match number_in(request) {
            0 => reply.write(request).map_err(|_| Failed),
            number => reply.write(&pattern(number, 64 * KIB)).map_err(|_| Failed),
        },
    );
    let greedy: Vec<Client> = (0..4).map(|_| Client::connect_narrow(&server)).collect();
    for client in &greedy {
        client.send(&ask(7).repeat(1_000));
    }
    until("all of them are paused", || server.stats(None).expect("all of them").reads_paused >= 4);
    for _ in 0..4 {
        let client = Client::connect(&server);
        for _ in 0..50 {
            client.ping(&ask(0));
        }
    }
}

fn no_more_than_max_in_flight_requests_begin(wiring: Wiring) {
    const IN_FLIGHT: usize = 5;
    const COUNT: usize = 40;
    let (promises, open) = channel::<(usize, Deferred)>();
    let (server, _events) = serve(
        wiring,
        |options| {
            options.set_framing(Framing::Fixed(ASK)).expect("in range").set_order(Order::Parallel);
            options.set_max_in_flight(IN_FLIGHT as u32).expect("in range");
        },
        move |request, reply, _| {
            let deferred = reply.defer().map_err(|_| Failed)?;
            promises.send((number_in(request), deferred)).map_err(|_| Failed)
        },
    );
    let client = Client::connect(&server);
    client.send(&asks(COUNT));
    let mut held = HashMap::new();
    let mut answered = 0;
    while answered < COUNT {
        while held.len() < IN_FLIGHT.min(COUNT - answered) {
            let (number, deferred) = open.recv_timeout(harness::WAIT).expect("as many begin as may");
            held.insert(number, deferred);
        }
        assert_eq!(server.stats(None).expect("all of them").requests_in_flight as usize, held.len());
        assert!(open.try_recv().is_err(), "one more began");
        // The last of them first: the window counts replies that wait for their turn.
        let mut numbers: Vec<usize> = held.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers.iter().rev() {
            let deferred = held.remove(number).expect("it is there");
            deferred.complete(&pattern(*number, 100)).expect("the connection is open");
        }
        answered += numbers.len();
    }
    assert!(server.stats(None).expect("all of them").reads_paused > 0);
    expect_answers(&client, COUNT, 100);
}

fn a_reply_past_output_limit_is_refused_and_stays_as_it_was(wiring: Wiring) {
    const LIMIT: usize = 10 * KIB;
    let (server, events) = serve(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range").set_output_limit_bytes(LIMIT).expect("in range");
        },
        |_, reply, _| {
            reply.write(&pattern(1, LIMIT)).map_err(|_| Failed)?;
            let refused = reply.write(b"x").expect_err("it is full");
            assert_eq!(refused.kind(), ErrorKind::OverLimit);
            let refused = reply.reserve(1).expect_err("it is full");
            assert_eq!(refused.kind(), ErrorKind::OverLimit);
            Ok(())
        },
    );
    let client = Client::connect(&server);
    client.send(b"a\nb\n");
    assert!(client.receive(2 * LIMIT) == pattern(1, LIMIT).repeat(2), "the replies are not as they were written");
    drop(client);
    assert_eq!(events.closed().reason, CloseReason::Peer);
}

fn eight_mebibytes_are_echoed_at_the_default_limits(wiring: Wiring) {
    for strip in [false, true] {
        let (server, events) = serve(
            wiring,
            |options| {
                options.set_framing(prefix(4, strip)).expect("in range");
            },
            echo,
        );
        let payload = pattern(3, MIB - 4);
        let frames = Arc::new(count(&payload).repeat(8));
        assert_eq!(frames.len(), 8 * MIB);
        let client = Client::connect(&server);
        let sender = client.twin();
        let sent = Arc::clone(&frames);
        let sending = thread::spawn(move || {
            sender.send(&sent);
            sender.finish();
        });
        assert!(client.receive_to_end().expect("a FIN") == *frames, "the echo differs");
        sending.join().expect("all is sent");
        assert_eq!(events.closed().reason, CloseReason::Peer);
        until("all memory is given back", || server.stats(None).expect("all of them").memory_bytes == 0);
    }
}

fn sends_past_output_limit_are_refused_until_the_peer_reads(wiring: Wiring) {
    const LIMIT: usize = 256 * KIB;
    const CHUNK: usize = 16 * KIB;
    let (server, events) = serve(
        wiring,
        |options| {
            options.set_output_limit_bytes(LIMIT).expect("in range");
        },
        echo,
    );
    let client = Client::connect_narrow(&server);
    let conn: ConnId = events.opened();
    let (mut taken, mut message) = (0, pattern(0, CHUNK));
    let unsent = |taken: usize| (taken * CHUNK) as u64 - server.stats(None).expect("all of them").bytes_out;
    until("the system takes no more", || {
        // Again and again, so that some come while the loop takes the earlier ones over.
        for _ in 0..500 {
            if server.send(conn, &message).is_ok() {
                taken += 1;
                message = pattern(taken, CHUNK);
            }
        }
        let due = unsent(taken);
        assert!(due <= LIMIT as u64, "{due} bytes are unsent, and the limit is {LIMIT}");
        // Nothing leaves any more, and the next does not fit.
        due as usize > LIMIT - CHUNK && !harness::comes_within(Duration::from_millis(50), || unsent(taken) < due)
    });
    let refused = server.send(conn, &[0; CHUNK]).expect_err("its output is full");
    assert_eq!(refused.kind(), ErrorKind::OverLimit);
    assert!(refused.to_string().contains("output_limit"), "{refused}");
    let refused = server.send(conn, &[0; LIMIT + 1]).expect_err("no output can ever hold it");
    assert_eq!(refused.kind(), ErrorKind::OverLimit);
    expect_answers(&client, taken, CHUNK);
    until("there is room again", || server.send(conn, b"again").is_ok());
    assert_eq!(client.receive(5), b"again");
}
