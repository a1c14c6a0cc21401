//! Owns the promises about bytes that no request asked for, and about closing from outside: where pushes stand in the
//! stream, whom they reach, and that an id is safe to use however late.

#[expect(dead_code, unused_imports, reason = "each suite uses its part")]
mod harness;

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;

use harness::{
    Client, Random, Running, Service, Tally, Wiring, answer, deferring, in_each_mode, lines, next, prefix, until,
};
use reactor_core::{CloseReason, ConnId, ErrorKind, Failed, Framing, Handle, Order};

in_each_mode!(
    a_send_from_open_is_the_greeting,
    a_send_in_a_callback_leaves_before_its_reply_and_after_those_before,
    a_send_in_a_callback_never_leaves_inside_the_reply,
    a_send_in_a_callback_to_another_connection_arrives,
    sends_of_each_thread_keep_their_order,
    sends_and_broadcasts_of_one_thread_keep_their_order,
    a_broadcast_from_a_thread_reaches_all,
    broadcasts_of_each_thread_keep_their_order,
    a_broadcast_from_a_callback_reaches_all_and_leaves_before_its_reply,
    a_broadcast_does_not_reach_who_connects_after_it,
    a_push_after_the_peers_fin_still_arrives,
    a_close_answers_what_was_admitted_and_then_ends,
    a_close_of_an_idle_connection_ends_it,
    a_close_in_a_callback_leaves_its_reply_whole,
    an_abort_is_a_reset_for_the_peer,
    an_abort_in_a_callback_is_a_reset_for_the_peer,
    the_peer_is_who_connected_until_it_has_gone,
    ids_that_name_nothing_are_gone,
    ids_of_connections_that_ended_are_gone_also_when_their_slot_is_used_again,
    pushes_to_a_server_that_has_stopped_are_gone,
    a_push_is_one_frame_where_the_framing_strips,
    a_push_too_long_for_its_prefix_is_over_limit,
    a_reply_too_long_for_its_prefix_is_over_limit,
    sends_past_the_output_limit_are_refused_until_the_peer_has_read,
    sends_of_the_requests_of_one_turn_count_together_against_the_output_limit,
    a_broadcast_skips_a_connection_whose_output_is_full,
    a_push_past_the_memory_limit_is_refused,
);

fn kind<T>(result: Result<T, reactor_core::Error>) -> Result<T, ErrorKind> {
    result.map_err(|error| error.kind())
}

fn a_send_from_open_is_the_greeting(wiring: Wiring) {
    let service = Service::echo().on_open(|server, conn| server.send(conn, b"welcome;").is_ok());
    let running = service.start(wiring, &wiring.options());
    let quiet = running.dial();
    quiet.expect(b"welcome;");
    for _ in 0..50 {
        let client = running.dial();
        client.send(b"hello");
        client.finish();
        client.expect_last(b"welcome;hello");
    }
}

fn a_send_in_a_callback_leaves_before_its_reply_and_after_those_before(wiring: Wiring) {
    let service = Service::new(|server, request, reply| {
        // Not each, so that some replies have no push between them.
        if request.last().is_some_and(|digit| digit % 3 == 0) {
            server.send(reply.conn(), &[b"push ", request].concat()).map_err(|_| Failed)?;
        }
        answer(reply, request)
    });
    let running = service.start(wiring, &wiring.framed(lines(true)));
    let client = running.dial();
    let (mut requests, mut expected) = (Vec::new(), Vec::new());
    for number in 0..2_000 {
        let line = format!("{number}\n").into_bytes();
        if line[line.len() - 2].is_multiple_of(3) {
            expected.extend_from_slice(&[b"push ", &line[..]].concat());
        }
        expected.extend_from_slice(&line);
        requests.extend_from_slice(&line);
    }
    let writer = client.twin();
    thread::scope(|scope| {
        scope.spawn(|| {
            writer.send(&requests);
            writer.finish();
        });
        client.expect_last(&expected);
    });
}

fn a_send_in_a_callback_never_leaves_inside_the_reply(wiring: Wiring) {
    for order in [Order::Serial, Order::Parallel, Order::Unordered] {
        let service = Service::new(|server, _, reply| {
            for part in 0..4 {
                answer(reply, b"reply")?;
                server.send(reply.conn(), format!("push{part}").as_bytes()).map_err(|_| Failed)?;
            }
            Ok(())
        });
        let mut options = wiring.framed(Framing::Fixed(1));
        options.set_order(order);
        let running = service.start(wiring, &options);
        let client = running.dial();
        client.send(b"x");
        client.expect(b"push0push1push2push3replyreplyreplyreply");
    }
}

fn a_send_in_a_callback_to_another_connection_arrives(wiring: Wiring) {
    // A request is the id of the connection that it is for.
    let service = Service::new(|server, request, reply| {
        let number = u64::from_be_bytes(request.try_into().map_err(|_| Failed)?);
        server.send(ConnId::from_u64(number), b"for you").map_err(|_| Failed)?;
        answer(reply, b"told")
    });
    let running = service.start(wiring, &wiring.framed(Framing::Fixed(8)));
    let ((one, one_conn), (other, other_conn)) = (running.connect(), running.connect());
    for (from, to, conn) in [(0, 1, other_conn), (1, 0, one_conn)] {
        let clients = [&one, &other];
        clients[from].send(&conn.as_u64().to_be_bytes());
        clients[from].expect(b"told");
        clients[to].expect(b"for you");
    }
}

/// 8 bytes that say who sent it and as which.
fn stamped(sender: u32, number: u32) -> Vec<u8> {
    [sender.to_be_bytes(), number.to_be_bytes()].concat()
}

/// Reads what `senders` stamped, `each` times; each sender's in order.
fn expect_stamped(client: &Client, senders: u32, each: u32) {
    let mut due = vec![0; senders as usize];
    for _ in 0..senders * each {
        let stamp = client.receive(8);
        let [sender, number] = [&stamp[..4], &stamp[4..]].map(|part| u32::from_be_bytes(part.try_into().expect("4")));
        assert_eq!(due[sender as usize], number, "of sender {sender}");
        due[sender as usize] += 1;
    }
}

fn sends_of_each_thread_keep_their_order(wiring: Wiring) {
    let running = Service::echo().start(wiring, &wiring.options());
    let (client, conn) = running.connect();
    thread::scope(|scope| {
        for sender in 0..4 {
            let server = running.server.handle();
            scope.spawn(move || {
                for number in 0..2_000 {
                    server.send(conn, &stamped(sender, number)).expect("all fits the output limit");
                }
            });
        }
        expect_stamped(&client, 4, 2_000);
    });
}

fn sends_and_broadcasts_of_one_thread_keep_their_order(wiring: Wiring) {
    let running = Service::echo().start(wiring, &wiring.options());
    let (client, conn) = running.connect();
    let (other, _) = running.connect();
    until("both count", || running.stats().connections_open == 2);
    for number in 0..2_000 {
        if number % 2 == 0 {
            running.server.send(conn, &stamped(0, number)).expect("all fits the output limit");
        } else {
            assert_eq!(kind(running.server.broadcast(&stamped(0, number))), Ok(2));
        }
    }
    expect_stamped(&client, 1, 2_000);
    for number in (1..2_000).step_by(2) {
        other.expect(&stamped(0, number));
    }
}

fn a_broadcast_from_a_thread_reaches_all(wiring: Wiring) {
    let running = Service::echo().start(wiring, &wiring.options());
    assert_eq!(kind(running.server.broadcast(b"nobody")), Ok(0));
    // The loops have nobody to send it to.
    running.turn_over();
    let mut clients: Vec<_> = (0..20).map(|_| running.connect().0).collect();
    until("all count", || running.stats().connections_open == 20);
    let server = running.server.handle();
    let reached = thread::spawn(move || server.broadcast(b"all of you")).join().expect("it does not panic");
    assert_eq!(kind(reached), Ok(20));
    for client in &clients {
        client.expect(b"all of you");
    }
    let gone = clients.pop().expect("there are 20");
    gone.finish();
    gone.expect_last(b"");
    running.closed();
    until("one counts no more", || running.stats().connections_open == 19);
    assert_eq!(kind(running.server.broadcast(b"the rest")), Ok(19));
    for client in &clients {
        client.expect(b"the rest");
    }
}

fn broadcasts_of_each_thread_keep_their_order(wiring: Wiring) {
    let running = Service::echo().start(wiring, &wiring.options());
    let clients: Vec<_> = (0..6).map(|_| running.connect().0).collect();
    thread::scope(|scope| {
        for sender in 0..3 {
            let server = running.server.handle();
            scope.spawn(move || {
                for number in 0..1_000 {
                    server.broadcast(&stamped(sender, number)).expect("all fits the output limit");
                }
            });
        }
        for client in &clients {
            scope.spawn(|| expect_stamped(client, 3, 1_000));
        }
    });
}

fn a_broadcast_from_a_callback_reaches_all_and_leaves_before_its_reply(wiring: Wiring) {
    let service = Service::new(|server, request, reply| {
        let reached = server.broadcast(&[b"news: ", request].concat()).map_err(|_| Failed)?;
        answer(reply, reached.to_string().as_bytes())
    });
    let running = service.start(wiring, &wiring.framed(lines(true)));
    let clients: Vec<_> = (0..5).map(|_| running.connect().0).collect();
    until("all count", || running.stats().connections_open == 5);
    for number in 0..5 {
        clients[number].send(format!("{number}\n").as_bytes());
        for (position, client) in clients.iter().enumerate() {
            client.expect(format!("news: {number}\n").as_bytes());
            if position == number {
                client.expect(b"5\n");
            }
        }
    }
    for client in &clients {
        client.expect_nothing();
    }
}

#[test]
fn a_send_of_a_worker_arrives_while_its_callback_still_runs() {
    for wiring in [Wiring::Pooled, Wiring::MultiWithWorkers] {
        for broadcast in [false, true] {
            let arrived = Tally::new();
            let gate = arrived.clone();
            let service = Service::new(move |server, request, reply| {
                if request == b"1" {
                    return answer(reply, b"one");
                }
                let sent =
                    if broadcast { server.broadcast(b"push").map(|_| ()) } else { server.send(reply.conn(), b"push") };
                if sent.is_err() || !gate.reaches(1) {
                    return Err(Failed);
                }
                answer(reply, b"two")
            });
            let running = service.start(wiring, &wiring.framed(lines(true)));
            let (client, _) = running.connect();
            client.send(b"1\n2\n");
            client.expect(b"one\npush\n");
            arrived.add();
            client.expect(b"two\n");
        }
    }
}

/// The loop may accept in the very turn in which the broadcast was made.
fn a_broadcast_does_not_reach_who_connects_after_it(wiring: Wiring) {
    let (began, begins) = channel();
    let (go, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let service = Service::new(move |server, request, reply| {
        if request != b"ping\n" {
            if request == b"cast\n" {
                server.broadcast(b"news\n").map_err(|_| Failed)?;
            }
            let _ = began.send(());
            let _ = gate.lock().map(|gate| gate.recv());
        }
        answer(reply, request)
    });
    let running = service.start(wiring, &wiring.framed(lines(false)));
    let (holder, _) = running.connect();
    let (caster, _) = running.connect();
    holder.send(b"hold\n");
    next(&begins);
    caster.send(b"cast\n");
    // Where the loop is held up, it finds both the request and someone to accept when it goes on.
    let _someone = running.dial();
    go.send(()).expect("the service is there");
    next(&begins);
    let late = running.dial();
    go.send(()).expect("the service is there");
    late.send(b"ping\n");
    late.expect(b"ping\n");
}

fn a_push_after_the_peers_fin_still_arrives(wiring: Wiring) {
    let (service, promises) = deferring();
    let running = service.start(wiring, &wiring.options());
    let (client, conn) = running.connect();
    client.send(b"x");
    client.finish();
    let (_, promise) = next(&promises);
    running.turn_over();
    running.server.send(conn, b"push").expect("its request is unanswered");
    client.expect(b"push");
    promise.complete(b"reply").expect("the connection is there");
    client.expect_last(b"reply");
    running.closed_with(CloseReason::Peer);
}

fn a_close_answers_what_was_admitted_and_then_ends(wiring: Wiring) {
    let (service, promises) = deferring();
    let mut options = wiring.framed(lines(true));
    options.set_order(Order::Parallel);
    let running = service.start(wiring, &options);
    let (client, conn) = running.connect();
    client.send(b"1\n2\npart of a frame");
    let mut begun = [next(&promises), next(&promises)];
    begun.sort_by(|(one, _), (other, _)| one.cmp(other));
    running.has_read(19);
    running.server.close(conn).expect("it is open");
    running.turn_over();
    // Reading has ended.
    client.send(b", ended\n3\n");
    running.server.send(conn, b"push").expect("two requests are unanswered");
    for (request, promise) in begun {
        promise.complete(&request).expect("the connection is there");
    }
    client.expect_last(b"push\n1\n2\n");
    client.finish();
    running.closed_with(CloseReason::Local);
    assert!(promises.try_recv().is_err(), "a request began that came after the close");
}

fn a_close_of_an_idle_connection_ends_it(wiring: Wiring) {
    let running = Service::echo().start(wiring, &wiring.options());
    let (client, conn) = running.connect();
    client.send(b"hello");
    client.expect(b"hello");
    running.server.send(conn, b"bye").expect("it is open");
    running.server.close(conn).expect("it is open");
    client.expect_last(b"bye");
    client.finish();
    assert_eq!(running.closed_with(CloseReason::Local).conn, conn);
}

fn a_close_in_a_callback_leaves_its_reply_whole(wiring: Wiring) {
    let service = Service::new(|server, request, reply| {
        answer(reply, request)?;
        server.close(reply.conn()).map_err(|_| Failed)?;
        answer(reply, b"!")
    });
    let running = service.start(wiring, &wiring.framed(lines(true)));
    let client = running.dial();
    client.send(b"bye\n");
    client.expect_last(b"bye!\n");
    client.finish();
    running.closed_with(CloseReason::Local);
}

fn an_abort_is_a_reset_for_the_peer(wiring: Wiring) {
    let running = Service::echo().start(wiring, &wiring.options());
    let (client, conn) = running.connect();
    client.send(b"hello");
    client.expect(b"hello");
    running.server.abort(conn).expect("it is open");
    assert_eq!(running.closed_with(CloseReason::Local).conn, conn);
    client.expect_reset();
    // With output that the peer does not take.
    let (client, conn) = running.connect();
    while running.server.send(conn, &[0; 1 << 20]).is_ok() {}
    running.server.abort(conn).expect("it is open");
    assert_eq!(running.closed_with(CloseReason::Local).conn, conn);
    client.expect_reset();
    until("nothing counts any more", || running.stats().memory_bytes == 0);
}

fn an_abort_in_a_callback_is_a_reset_for_the_peer(wiring: Wiring) {
    let service = Service::new(|server, request, reply| {
        server.abort(reply.conn()).map_err(|_| Failed)?;
        answer(reply, request)
    });
    let running = service.start(wiring, &wiring.options());
    let client = running.dial();
    client.send(b"x");
    client.expect_reset();
    running.closed_with(CloseReason::Local);
}

fn the_peer_is_who_connected_until_it_has_gone(wiring: Wiring) {
    let (tell, peers) = channel();
    let service = Service::new(move |server: &Handle, request, reply| {
        let _ = tell.send(server.peer(reply.conn()).and_then(|peer| peer.address()));
        answer(reply, request)
    });
    let running = service.start(wiring, &wiring.options());
    for _ in 0..5 {
        let (client, conn) = running.connect();
        let peer = running.server.peer(conn).expect("it is open");
        assert_eq!(peer.address(), Some(client.address()));
        assert_eq!(peer.to_string(), client.address().to_string());
        client.send(b"x");
        assert_eq!(next(&peers), Some(client.address()));
        client.finish();
        client.expect_last(b"x");
        running.closed();
        assert_eq!(running.server.peer(conn), None);
    }
}

/// All that names a connection says that there is none.
#[track_caller]
fn is_gone(running: &Running, conn: ConnId) {
    let server = &running.server;
    assert_eq!(kind(server.send(conn, b"late")), Err(ErrorKind::Gone), "{conn:?}");
    assert_eq!(kind(server.close(conn)), Err(ErrorKind::Gone), "{conn:?}");
    assert_eq!(kind(server.abort(conn)), Err(ErrorKind::Gone), "{conn:?}");
    assert_eq!(server.peer(conn), None, "{conn:?}");
}

fn ids_that_name_nothing_are_gone(wiring: Wiring) {
    let running = Service::echo().start(wiring, &wiring.options());
    let (client, conn) = running.connect();
    is_gone(&running, ConnId::NONE);
    let mut random = Random::new(wiring as u64);
    let neighbours = (0..64).map(|bit| conn.as_u64() ^ (1 << bit));
    for number in neighbours.chain([1, 1 << 32, u64::MAX]).chain((0..10_000).map(|_| random.next())) {
        if number != conn.as_u64() {
            is_gone(&running, ConnId::from_u64(number));
        }
    }
    client.send(b"unharmed");
    client.finish();
    client.expect_last(b"unharmed");
}

fn ids_of_connections_that_ended_are_gone_also_when_their_slot_is_used_again(wiring: Wiring) {
    let running = Service::echo().start(wiring, &wiring.options());
    let mut ended = Vec::new();
    for _ in 0..50 {
        let (client, conn) = running.connect();
        assert!(!ended.contains(&conn), "an id was given twice");
        for late in &ended {
            is_gone(&running, *late);
        }
        client.send(b"unharmed");
        client.finish();
        client.expect_last(b"unharmed");
        assert_eq!(running.closed_with(CloseReason::Peer).conn, conn);
        is_gone(&running, conn);
        ended.push(conn);
    }
}

#[test]
fn in_the_last_call_of_a_connection_its_id_is_gone_already() {
    let (tell, seen) = channel();
    let service = Service::echo().on_close(move |server, conn| {
        let peer = server.peer(conn);
        let _ = tell.send((kind(server.send(conn, b"late")), kind(server.close(conn)), kind(server.abort(conn)), peer));
    });
    let running = service.start(Wiring::Single, &Wiring::Single.options());
    let (client, _) = running.connect();
    client.finish();
    client.expect_last(b"");
    assert_eq!(next(&seen), (Err(ErrorKind::Gone), Err(ErrorKind::Gone), Err(ErrorKind::Gone), None));
}

fn pushes_to_a_server_that_has_stopped_are_gone(wiring: Wiring) {
    let running = Service::echo().start(wiring, &wiring.options());
    let (_client, conn) = running.connect();
    running.server.request_stop(0);
    running.server.wait().expect("no callback waits");
    is_gone(&running, conn);
    assert_eq!(kind(running.server.broadcast(b"late")), Err(ErrorKind::Gone));
}

fn a_push_is_one_frame_where_the_framing_strips(wiring: Wiring) {
    for (framing, framed, empty) in [
        (lines(true), &b"push\n"[..], &b"\n"[..]),
        (lines(false), b"push", b""),
        (prefix(1, true), b"\x04push", b"\0"),
        (Framing::LengthPrefix { width: 4, big_endian: false, strip: true }, b"\x04\0\0\0push", b"\0\0\0\0"),
        (prefix(4, false), b"push", b""),
    ] {
        let running = Service::echo().start(wiring, &wiring.framed(framing));
        let (client, conn) = running.connect();
        until("it counts", || running.stats().connections_open == 1);
        running.server.send(conn, b"push").expect("it is open");
        running.server.send(conn, b"").expect("it is open");
        assert_eq!(kind(running.server.broadcast(b"push")), Ok(1));
        assert_eq!(kind(running.server.broadcast(b"")), Ok(1));
        running.server.close(conn).expect("it is open");
        client.expect_last(&[framed, empty, framed, empty].concat());
    }
}

fn a_push_too_long_for_its_prefix_is_over_limit(wiring: Wiring) {
    for (width, longest) in [(1, 255), (2, 65_535)] {
        let running = Service::echo().start(wiring, &wiring.framed(prefix(width, true)));
        let (client, conn) = running.connect();
        let payload = vec![b'x'; longest + 1];
        assert_eq!(kind(running.server.send(conn, &payload)), Err(ErrorKind::OverLimit));
        assert_eq!(kind(running.server.broadcast(&payload)), Err(ErrorKind::OverLimit));
        running.server.send(conn, &payload[1..]).expect("it just fits");
        assert_eq!(client.receive(width as usize), vec![0xff; width as usize]);
        client.expect(&payload[1..]);
        client.expect_nothing();
    }
}

fn a_reply_too_long_for_its_prefix_is_over_limit(wiring: Wiring) {
    let (tell, results) = channel();
    let service = Service::new(move |_, request, reply| {
        if request == b"later" {
            let _ = tell.send(kind(reply.defer().map_err(|_| Failed)?.complete(&[b'x'; 256])));
            return Ok(());
        }
        answer(reply, &[b'x'; 200])?;
        let _ = tell.send(kind(reply.write(&[b'x'; 56])));
        let _ = tell.send(kind(reply.reserve(56).map(|_| ())));
        // What was refused has left the reply as it was.
        answer(reply, &[b'y'; 55])
    });
    let running = service.start(wiring, &wiring.framed(prefix(1, true)));
    let (client, _) = running.connect();
    client.send(b"\x03now");
    client.expect(&[&[0xff][..], &[b'x'; 200], &[b'y'; 55]].concat());
    assert_eq!((next(&results), next(&results)), (Err(ErrorKind::OverLimit), Err(ErrorKind::OverLimit)));
    client.send(b"\x05later");
    assert_eq!(next(&results), Err(ErrorKind::OverLimit));
    client.expect_last(b"");
    client.finish();
    running.closed_with(CloseReason::OutputLimit);
}

const OUTPUT_LIMIT: usize = 256 << 10;
const PUSH: usize = 16 << 10;
/// What a push counts for beside its bytes: `config::PUSH_OVERHEAD_BYTES`.
const PUSH_OVERHEAD: usize = 256;
/// No system buffers as much for one connection on the loopback.
const FAR_TOO_MANY: usize = 8_192;

fn sends_past_the_output_limit_are_refused_until_the_peer_has_read(wiring: Wiring) {
    let mut options = wiring.options();
    options.set_output_limit_bytes(OUTPUT_LIMIT).expect("in range");
    let running = Service::echo().start(wiring, &options);
    let (client, conn) = running.connect();
    assert_eq!(kind(running.server.send(conn, &[0; OUTPUT_LIMIT + 1])), Err(ErrorKind::OverLimit));
    let mut accepted = 0;
    let mut refused = 0;
    // A thousand refusals on end: nothing is on its way any more.
    while refused < 1_000 {
        match kind(running.server.send(conn, &[b'x'; PUSH])) {
            Ok(()) => (accepted, refused) = (accepted + 1, 0),
            Err(kind) => {
                assert_eq!(kind, ErrorKind::OverLimit);
                refused += 1;
            }
        }
        assert!(accepted < FAR_TOO_MANY, "no send was refused");
    }
    let unsent = running.stats().memory_bytes;
    assert!(unsent <= (OUTPUT_LIMIT + PUSH) as u64, "{unsent} bytes are unsent");
    for _ in 0..accepted {
        client.expect(&[b'x'; PUSH]);
    }
    until("a send is taken again", || running.server.send(conn, b"again").is_ok());
    // No byte of those that were refused.
    client.expect(b"again");
    client.send(b"hello");
    client.expect(b"hello");
    until("nothing counts any more", || running.stats().memory_bytes == 0);
}

/// Each of them found nothing unsent, for the turn had not yet told what those before it had sent.
fn sends_of_the_requests_of_one_turn_count_together_against_the_output_limit(wiring: Wiring) {
    const ASKED: usize = 20;
    const SENT: usize = 30_000;
    if wiring.has_workers() {
        // Requests have no turn in common.
        return;
    }
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let service = Service::new(move |server, _, reply| {
        let sent = kind(server.send(reply.data().conn, &[b's'; SENT]));
        tell.lock().expect("nobody panics with it").send(sent).map_err(|_| Failed)
    });
    let mut options = wiring.framed(lines(false));
    options.set_output_limit_bytes(SENT + SENT / 2).expect("in range");
    let running = service.start(wiring, &options);
    let client = running.dial();
    client.send(&b"x\n".repeat(ASKED));
    let sent: Vec<_> = (0..ASKED).map(|_| next(&told)).collect();
    let accepted = sent.iter().filter(|sent| sent.is_ok()).count();
    // What came in two reads has two turns.
    assert!((1..=3).contains(&accepted), "{sent:?}");
    assert!(sent.iter().all(|sent| matches!(sent, Ok(()) | Err(ErrorKind::OverLimit))), "{sent:?}");
    client.expect(&b"s".repeat(accepted * SENT));
}

fn a_broadcast_skips_a_connection_whose_output_is_full(wiring: Wiring) {
    let mut options = wiring.options();
    options.set_output_limit_bytes(OUTPUT_LIMIT).expect("in range");
    let running = Service::echo().start(wiring, &options);
    let (_deaf, _) = running.connect();
    let (client, _) = running.connect();
    until("both count", || running.stats().connections_open == 2);
    let (mut sent, mut full) = (0, 0);
    // A hundred on end that find it full: it is not merely behind.
    while full < 100 {
        assert_eq!(kind(running.server.broadcast(&[b'x'; PUSH])), Ok(2), "both are open");
        client.expect(&[b'x'; PUSH]);
        sent += 1;
        full = if running.stats().memory_bytes >= (OUTPUT_LIMIT - PUSH) as u64 { full + 1 } else { 0 };
        assert!(sent < FAR_TOO_MANY, "its output is never full");
    }
    let unsent = running.stats().memory_bytes;
    // Two are on their way, and each counts with what it takes beside its bytes.
    let pushes = OUTPUT_LIMIT / PUSH + 2;
    assert!(unsent <= (pushes * (PUSH + PUSH_OVERHEAD)) as u64, "{unsent} bytes are unsent");
    assert!(running.none_closed(), "nobody is closed for it");
}

fn a_push_past_the_memory_limit_is_refused(wiring: Wiring) {
    let mut options = wiring.options();
    options.set_max_frame_bytes(1 << 10).expect("in range").set_memory_limit_bytes(64 << 10).expect("in range");
    let running = Service::echo().start(wiring, &options);
    let (client, conn) = running.connect();
    until("it counts", || running.stats().connections_open == 1);
    let too_much = vec![b'x'; (64 << 10) + 1];
    assert_eq!(kind(running.server.send(conn, &too_much)), Err(ErrorKind::OverLimit));
    assert_eq!(kind(running.server.broadcast(&too_much)), Err(ErrorKind::OverLimit));
    running.server.send(conn, b"little").expect("it fits");
    client.expect(b"little");
}
