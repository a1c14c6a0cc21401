//! Owns the promises of backpressure: water marks, the limits of one connection, and the memory of all together. Knows
//! the public API alone.

#[expect(dead_code, reason = "each suite uses its part")]
mod harness_b;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use harness_b::{Client, Wiring, count, counted, echo, in_each_mode, lines, pattern, serve, serve_gated, until};
use reactor_core::{CloseReason, ConnId, Deferred, ErrorKind, Failed, Framing, Mode, Options, Order, Server};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

in_each_mode!(
    a_request_begins_only_below_the_high_mark_and_every_byte_is_right,
    in_parallel_replies_in_the_making_pass_the_high_mark_by_no_more_than_max_in_flight,
    replies_within_output_limit_never_close_a_connection,
    others_are_served_while_one_never_reads,
    no_more_than_max_in_flight_requests_begin,
    a_reply_past_output_limit_is_refused_and_stays_as_it_was,
    three_hundred_connections_that_hold_most_of_a_frame_are_all_answered,
    memory_is_bounded_while_three_hundred_hold_most_of_a_frame,
    a_connection_that_stops_short_of_its_frame_holds_up_nobody_for_ever,
    requests_are_answered_beside_subscribers_that_never_read,
    whole_frames_are_answered_beside_others_that_hold_all_memory,
    eight_mebibytes_are_echoed_at_the_default_limits,
    sends_past_output_limit_are_refused_until_the_peer_reads,
    pushes_past_memory_limit_are_refused_and_taken_again_at_seven_eighths,
    memory_is_given_back_whatever_held_it,
    start_refuses_a_memory_limit_in_which_a_frame_might_not_fit,
    one_that_was_let_in_and_left_a_partial_frame_behind_keeps_nobody_waiting,
    memory_does_not_grow_by_each_that_is_let_in_while_another_stalls,
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
            let held = wiring.is_inline() && was_held.load(Ordering::SeqCst);
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
        !harness_b::comes_within(Duration::from_millis(50), || {
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
            let (number, deferred) = open.recv_timeout(harness_b::WAIT).expect("as many begin as may");
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
            options.set_framing(lines()).expect("in range").set_output_limit_bytes(LIMIT).expect("in range");
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

// ---- The memory of all -----------------------------------------------------------------------------------------

const FRAME: usize = 64 * KIB;
const HOLDERS: usize = 300;
const ROOM_FOR: usize = 100;

/// A server with memory for 100 whole frames, whose reply says how long the frame was and by what it began.
fn cramped(wiring: Wiring) -> (Server, harness_b::Events) {
    serve(
        wiring,
        |options| {
            options.set_framing(counted(false)).expect("in range").set_max_frame_bytes(FRAME).expect("in range");
            options.set_memory_limit_bytes(ROOM_FOR * FRAME).expect("in range");
        },
        |request, reply, _| {
            reply.write(&request[4..12]).map_err(|_| Failed)?;
            reply.write(&(request.len() as u64).to_be_bytes()).map_err(|_| Failed)
        },
    )
}

fn whole_frame(number: usize) -> Vec<u8> {
    let mut payload = pattern(number, FRAME - 4);
    payload[..8].copy_from_slice(&(number as u64).to_be_bytes());
    count(&payload)
}

#[track_caller]
fn expect_whole_frame_answered(client: &Client, number: usize) {
    let answer = [(number as u64).to_be_bytes(), (FRAME as u64).to_be_bytes()].concat();
    assert_eq!(client.receive(16), answer, "connection {number}");
}

/// Connections that have sent all but the last byte of a frame.
fn holders(server: &Server, count: usize) -> Vec<Client> {
    let clients: Vec<Client> = (0..count).map(|_| Client::connect(server)).collect();
    for (number, client) in clients.iter().enumerate() {
        client.send(&whole_frame(number)[..FRAME - 1]);
    }
    clients
}

fn memory(server: &Server) -> usize {
    server.stats(None).expect("all of them").memory_bytes as usize
}

/// Waits until the server has read as far as it goes for now.
fn until_reading_rests(server: &Server) {
    until("reading rests", || {
        let before = server.stats(None).expect("all of them").bytes_in;
        !harness_b::comes_within(Duration::from_millis(100), || {
            server.stats(None).expect("all of them").bytes_in != before
        })
    });
}

fn three_hundred_connections_that_hold_most_of_a_frame_are_all_answered(wiring: Wiring) {
    let (server, _events) = cramped(wiring);
    let clients = holders(&server, HOLDERS);
    until("memory runs short", || memory(&server) >= ROOM_FOR * FRAME / 8 * 7);
    until_reading_rests(&server);
    for (number, client) in clients.iter().enumerate() {
        client.send(&whole_frame(number)[FRAME - 1..]);
    }
    for (number, client) in clients.iter().enumerate() {
        expect_whole_frame_answered(client, number);
    }
    assert!(server.stats(None).expect("all of them").reads_paused > 0);
    drop(clients);
    until("all memory is given back", || memory(&server) == 0);
}

fn memory_is_bounded_while_three_hundred_hold_most_of_a_frame(wiring: Wiring) {
    let (server, _events) = cramped(wiring);
    let clients = holders(&server, HOLDERS);
    until("memory runs short", || memory(&server) >= ROOM_FOR * FRAME / 8 * 7);
    until_reading_rests(&server);
    // A reactor passes the limit by what it was reading when it came, and by the one frame that it may finish then; a
    // buffer that grows may be twice as large as what it holds.
    let limit = ROOM_FOR * FRAME + wiring.reactors() * 4 * FRAME;
    let held = memory(&server);
    assert!(held <= limit, "{held} bytes are held; memory_limit and what a reactor may finish are {limit}");
    drop(clients);
}

fn a_connection_that_stops_short_of_its_frame_holds_up_nobody_for_ever(wiring: Wiring) {
    let (server, events) = serve(
        wiring,
        |options| {
            options.set_framing(counted(false)).expect("in range").set_max_frame_bytes(FRAME).expect("in range");
            options.set_memory_limit_bytes(4 * FRAME).expect("in range").set_frame_timeout_ms(300);
        },
        |request, reply, _| {
            reply.write(&request[4..12]).map_err(|_| Failed)?;
            reply.write(&(request.len() as u64).to_be_bytes()).map_err(|_| Failed)
        },
    );
    let stuck = holders(&server, 12);
    let others: Vec<Client> = (0..12).map(|_| Client::connect(&server)).collect();
    for (number, client) in others.iter().enumerate() {
        client.send(&whole_frame(number));
    }
    for (number, client) in others.iter().enumerate() {
        expect_whole_frame_answered(client, number);
    }
    // Their time passes, one after the other as each gets its chance to be finished.
    for _ in 0..stuck.len() {
        assert_eq!(events.closed().reason, CloseReason::FrameTimeout);
    }
}

fn requests_are_answered_beside_subscribers_that_never_read(wiring: Wiring) {
    const LIMIT: usize = 2 * MIB;
    let (server, _events) = serve(
        wiring,
        |options| {
            options.set_framing(lines()).expect("in range").set_max_frame_bytes(FRAME).expect("in range");
            options.set_memory_limit_bytes(LIMIT).expect("in range");
        },
        echo,
    );
    let subscribers: Vec<Client> = (0..20).map(|_| Client::connect_narrow(&server)).collect();
    until("all are there", || server.stats(None).expect("all of them").connections_open == 20);
    let mut refused = 0;
    // Coarse, then fine, so that the last byte of the limit is taken.
    for len in [16 * KIB, 256, 1] {
        let message = vec![b'm'; len];
        until("a broadcast is refused for want of memory", || match server.broadcast(&message) {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::OverLimit);
                refused += 1;
                true
            }
        });
    }
    assert_eq!(refused, 3);
    let others: Vec<Client> = (0..10).map(|_| Client::connect(&server)).collect();
    for client in &others {
        // The last broadcasts may have been on their way as it came.
        client.send(b"first\n");
        while client.receive(1) == b"m" {}
        assert_eq!(client.receive(5), b"irst\n");
    }
    for number in 0..50 {
        for client in &others {
            client.ping(format!("request {number}\n").as_bytes());
        }
    }
    drop((subscribers, others));
    until("all are gone", || server.stats(None).expect("all of them").connections_open == 0);
    until("all memory is given back", || memory(&server) == 0);
    assert_eq!(server.broadcast(b"again").expect("there is room"), 0);
}

/// Nothing but its own memory may have to wake a loop for the next one's turn.
fn whole_frames_are_answered_beside_others_that_hold_all_memory(wiring: Wiring) {
    const OTHERS: usize = 200;
    let (server, events, gate) = serve_gated(
        wiring,
        |options| {
            options.set_framing(counted(false)).expect("in range").set_max_frame_bytes(FRAME).expect("in range");
            options.set_memory_limit_bytes(8 * FRAME).expect("in range").set_frame_timeout_ms(0);
        },
        |request, reply, _| {
            reply.write(&request[4..12]).map_err(|_| Failed)?;
            reply.write(&(request.len() as u64).to_be_bytes()).map_err(|_| Failed)
        },
    );
    let others: Vec<Client> = (0..OTHERS).map(|_| Client::connect(&server)).collect();
    until("all are there", || server.stats(None).expect("all of them").connections_open == OTHERS as u64);
    let holders = holders(&server, 12);
    until("memory runs short", || memory(&server) >= 8 * FRAME);
    until_reading_rests(&server);
    // All of it comes while the loops are elsewhere, so that they hear of it once.
    events.so_far();
    let blockers = gate.shut(wiring, &server, &events);
    for (number, client) in others.iter().enumerate() {
        client.send(&whole_frame(number));
    }
    gate.open();
    let opened = Instant::now();
    for (number, client) in others.iter().enumerate() {
        expect_whole_frame_answered(client, number);
    }
    // A loop that only goes on when a timer happens to wake it gets there too, some day.
    assert!(opened.elapsed() < harness_b::WAIT, "the last had its turn after {:?}", opened.elapsed());
    drop((holders, blockers));
}

fn eight_mebibytes_are_echoed_at_the_default_limits(wiring: Wiring) {
    for strip in [false, true] {
        let (server, events) = serve(
            wiring,
            |options| {
                options.set_framing(counted(strip)).expect("in range");
            },
            echo,
        );
        let payload = pattern(3, MIB - 4);
        let frames = Arc::new(count(&payload).repeat(8));
        assert_eq!(frames.len(), 8 * MIB);
        let client = Client::connect(&server);
        let sender = Client { stream: client.stream.try_clone().expect("a descriptor") };
        let sent = Arc::clone(&frames);
        let sending = thread::spawn(move || {
            sender.send(&sent);
            sender.finish();
        });
        assert!(client.receive_to_end().expect("a FIN") == *frames, "the echo differs");
        sending.join().expect("all is sent");
        assert_eq!(events.closed().reason, CloseReason::Peer);
        until("all memory is given back", || memory(&server) == 0);
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
        due as usize > LIMIT - CHUNK && !harness_b::comes_within(Duration::from_millis(50), || unsent(taken) < due)
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

fn pushes_past_memory_limit_are_refused_and_taken_again_at_seven_eighths(wiring: Wiring) {
    const LIMIT: usize = MIB;
    const PART: usize = 16 * KIB;
    let (server, events) = serve(
        wiring,
        |options| {
            options.set_framing(counted(false)).expect("in range").set_max_frame_bytes(FRAME).expect("in range");
            options.set_memory_limit_bytes(LIMIT).expect("in range");
        },
        echo,
    );
    let listener = Client::connect(&server);
    let conn = events.opened();
    server.send(conn, b"a").expect("there is room");
    assert_eq!(listener.receive(1), b"a");
    let mut clients = Vec::new();
    while memory(&server) < LIMIT {
        let client = Client::connect(&server);
        let before = server.stats(None).expect("all of them").bytes_in;
        client.send(&whole_frame(0)[..PART]);
        until("it is read", || server.stats(None).expect("all of them").bytes_in == before + PART as u64);
        until("it is counted", || memory(&server) >= (clients.len() + 1) * PART);
        clients.push(client);
    }
    let mut refused_below_the_limit = 0;
    loop {
        let held = memory(&server);
        let pushed = server.send(conn, b"b");
        let broadcast = server.broadcast(b"c");
        if held > LIMIT / 8 * 7 {
            assert_eq!(pushed.expect_err("memory is short").kind(), ErrorKind::OverLimit);
            assert_eq!(broadcast.expect_err("memory is short").kind(), ErrorKind::OverLimit);
            refused_below_the_limit += u64::from(held < LIMIT);
        } else {
            pushed.expect("memory is no longer short");
            broadcast.expect("memory is no longer short");
            break;
        }
        let left = clients.len();
        drop(clients.pop());
        until("it is gone", || server.stats(None).expect("all of them").connections_open == left as u64);
        until("what it held is given back", || memory(&server) < held);
    }
    assert!(refused_below_the_limit > 0, "the test never stood between 7/8 and the limit");
    assert_eq!(listener.receive(2), b"bc");
}

fn memory_is_given_back_whatever_held_it(wiring: Wiring) {
    let promises = Arc::new(Mutex::new(Vec::<Deferred>::new()));
    let open = Arc::clone(&promises);
    let (server, _events) = serve(
        wiring,
        |options| {
            options.set_framing(lines()).expect("in range").set_order(Order::Parallel);
        },
        move |request, reply, _| {
            if request.starts_with(b"later") {
                let deferred = reply.defer().map_err(|_| Failed)?;
                open.lock().expect("nobody panicked").push(deferred);
                return Ok(());
            }
            reply.write(&request.repeat(64)).map_err(|_| Failed)
        },
    );
    let clients: Vec<Client> = (0..8).map(|_| Client::connect_narrow(&server)).collect();
    for client in &clients {
        let line = [vec![b'x'; KIB], b"\n".to_vec()].concat();
        client.send(&[b"later\n".to_vec(), line.repeat(200), b"a partial frame".to_vec()].concat());
    }
    let _ = server.broadcast(&[b'p'; 10 * KIB]);
    until("each has a promise open", || promises.lock().expect("nobody panicked").len() == 8);
    until("memory is held", || memory(&server) > 0);
    // A FIN would have to wait behind the promise.
    clients.into_iter().for_each(Client::reset);
    until("nothing is open", || server.stats(None).expect("all of them").connections_open == 0);
    until("all memory is given back", || memory(&server) == 0);
    let stats = server.stats(None).expect("all of them");
    assert_eq!(stats.requests_in_flight, 0);
    for reactor in 0..wiring.reactors() {
        assert_eq!(server.stats(Some(reactor)).expect("it is there").memory_bytes, 0);
    }
    for deferred in promises.lock().expect("nobody panicked").drain(..) {
        assert_eq!(deferred.complete(b"too late").expect_err("its connection ended").kind(), ErrorKind::Gone);
    }
    assert_eq!(memory(&server), 0);
}

fn start_refuses_a_memory_limit_in_which_a_frame_might_not_fit(wiring: Wiring) {
    struct Never;
    impl reactor_core::Handler for Never {
        type Data = ();
        fn open(&self, _: ConnId, _: reactor_core::Peer) -> Option<()> {
            None
        }
        fn process(&self, _: &[u8], _: &mut reactor_core::Reply<'_, ()>) -> Result<(), Failed> {
            Err(Failed)
        }
    }
    let start = |memory_limit: usize| {
        let mut options: Options = wiring.options();
        options.set_max_frame_bytes(FRAME).expect("in range").set_memory_limit_bytes(memory_limit).expect("in range");
        Server::start("127.0.0.1:0", wiring.mode(), &options, Never)
    };
    let least = wiring.reactors() * FRAME;
    let error = start(least - 1).expect_err("it is too small");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("memory_limit"), "{error}");
    drop(start(least).expect("it is just enough"));
    assert!(matches!(wiring.mode(), Mode::Single | Mode::Pooled | Mode::Multi));
}

/// Found by the simulator: the next was let in once the last had nothing left, a partial frame included, which it could
/// only have read on in its own turn.
fn one_that_was_let_in_and_left_a_partial_frame_behind_keeps_nobody_waiting(wiring: Wiring) {
    const FRAME: usize = 8;
    let (server, events) = serve(
        wiring,
        |options| {
            options.set_framing(Framing::Fixed(FRAME)).expect("in range").set_max_frame_bytes(FRAME).expect("in range");
            options.set_memory_limit_bytes(wiring.reactors() * FRAME).expect("in range");
        },
        echo,
    );
    let holders: Vec<Client> = (0..wiring.reactors()).map(|_| Client::connect(&server)).collect();
    holders.iter().for_each(|holder| holder.send(b"12"));
    until("their frames are partial", || server.stats(None).expect("all of them").bytes_in == 2 * holders.len() as u64);
    let others: Vec<Client> = (0..wiring.reactors()).map(|_| Client::connect(&server)).collect();
    for other in &others {
        other.send(b"12345678x");
        assert_eq!(other.receive(FRAME), b"12345678");
    }
    let all = holders.len() + others.len();
    holders.iter().chain(&others).for_each(Client::finish);
    for _ in 0..all {
        assert_eq!(events.closed().reason, CloseReason::ProtocolError, "its last frame never ended");
    }
}

/// Found by a flood: the one whose turn it was and those that had theirs while it stalled took no account of each other,
/// and each change from one to the other let a reply more in that did not leave.
fn memory_does_not_grow_by_each_that_is_let_in_while_another_stalls(wiring: Wiring) {
    const ROOM: usize = 32 * FRAME;
    const REPLY: usize = 8 * FRAME;
    const HOLDERS: usize = 60;
    let (server, _events) = serve(
        wiring,
        |options| {
            options.set_framing(counted(false)).expect("in range").set_max_frame_bytes(FRAME).expect("in range");
            options.set_memory_limit_bytes(ROOM).expect("in range").set_frame_timeout_ms(0);
        },
        |request, reply, _| match request[4] {
            b'l' => reply.write(&pattern(1, REPLY)).map_err(|_| Failed),
            _ => reply.write(b"short").map_err(|_| Failed),
        },
    );
    let short = count(&[b's'; FRAME - 4]);
    let holders: Vec<Client> = (0..HOLDERS).map(|_| Client::connect(&server)).collect();
    holders.iter().for_each(|holder| holder.send(&short[..FRAME - 1]));
    until("memory runs short", || memory(&server) >= ROOM / 8 * 7);
    // Their frames are whole already, and their replies stay.
    let unread: Vec<Client> = (0..HOLDERS).map(|_| Client::connect_narrow(&server)).collect();
    unread.iter().for_each(|client| client.send(&count(b"long")));
    until_reading_rests(&server);
    for holder in &holders {
        // Behind those that were read before memory ran short, each is the one whose turn it is, until this ends it.
        holder.send(&short[FRAME - 1..]);
        let before = memory(&server);
        harness_b::comes_within(Duration::from_millis(10), || memory(&server) > before);
    }
    until_reading_rests(&server);
    // Of each loop two, one that had its turn and one that came while it stalled, and a third of it for the allocator.
    let limit = ROOM + ROOM / 64 + wiring.reactors() * 2 * (REPLY + FRAME) / 3 * 4;
    let held = memory(&server);
    assert!(held <= limit, "{held} bytes are held; memory_limit and what the loops may let in are {limit}");
    drop(unread);
    holders.iter().for_each(|holder| assert_eq!(holder.receive(5), b"short"));
}
