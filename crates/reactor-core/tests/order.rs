//! Owns the promises about order: which requests of a connection run at once, in which order replies leave, what becomes
//! of the rest when one of them ends the connection.

#[expect(dead_code, unused_imports, reason = "each suite uses its part")]
mod harness;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use harness::{Random, Service, Tally, Wiring, answer, deferring, in_each_mode, lines, next, spin};
use reactor_core::{CloseReason, ErrorKind, Failed, Framing, Options, Order};

/// One named test for each mode that has workers, of each function.
macro_rules! with_workers {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            use crate::harness::Wiring;

            #[test]
            fn pooled() {
                super::$name(Wiring::Pooled);
            }

            #[test]
            fn multi_with_workers() {
                super::$name(Wiring::MultiWithWorkers);
            }
        }
    )*};
}

in_each_mode!(
    serial_runs_one_callback_of_a_connection_at_a_time_and_answers_in_order,
    serial_begins_no_request_before_the_deferred_one_is_answered,
    parallel_replies_leave_in_request_order_though_they_are_ready_in_reverse,
    unordered_replies_leave_as_they_are_ready,
    unordered_with_raw_framing_is_refused,
    no_more_than_max_in_flight_are_begun_and_unanswered,
    a_full_window_of_ready_replies_holds_later_requests_back,
    reading_pauses_while_max_in_flight_are_unanswered,
    a_closing_reply_sends_those_before_it_and_begins_nothing_later,
    a_failing_request_sends_the_replies_before_it_and_begins_nothing_later,
    a_panicking_request_sends_the_replies_before_it_and_begins_nothing_later,
    parallel_a_closing_reply_waits_for_those_before_it_and_drops_those_after,
    parallel_a_failing_request_waits_for_the_replies_before_it,
    all_that_came_before_the_fin_is_answered,
);

with_workers!(
    parallel_runs_three_requests_of_one_connection_at_once,
    parallel_replies_of_workers_leave_in_request_order_though_they_finish_in_reverse,
    unordered_replies_of_workers_leave_while_an_earlier_request_runs,
    serial_on_workers_runs_different_connections_at_once,
    queued_requests_of_a_connection_that_reset_never_begin,
    the_last_call_of_a_connection_comes_after_its_running_request,
    pipelined_requests_are_neither_out_of_order_nor_lost_nor_doubled,
);

/// `set_order` in the options with lines as requests, their ends stripped.
fn ordered(wiring: Wiring, order: Order) -> Options {
    let mut options = wiring.framed(lines(true));
    options.set_order(order);
    options
}

fn one_worker(wiring: Wiring, options: &mut Options) {
    assert!(wiring.has_workers());
    options.set_workers(1).expect("in range");
}

fn serial_runs_one_callback_of_a_connection_at_a_time_and_answers_in_order(wiring: Wiring) {
    const CLIENTS: usize = 4;
    const REQUESTS: usize = 2_000;
    let inside = Mutex::new(HashSet::new());
    let service = Service::new(move |_, request, reply| {
        let alone = inside.lock().expect("nobody panics with it").insert(reply.conn());
        spin(Duration::from_micros(u64::from(request[request.len() - 1] % 4)));
        inside.lock().expect("nobody panics with it").remove(&reply.conn());
        if alone { answer(reply, request) } else { answer(reply, b"two at once") }
    });
    let running = service.start(wiring, &ordered(wiring, Order::Serial));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let client = running.dial();
            scope.spawn(move || {
                let stream: Vec<u8> = (0..REQUESTS).flat_map(|number| format!("{number}\n").into_bytes()).collect();
                let writer = client.twin();
                thread::scope(|scope| {
                    scope.spawn(|| writer.send(&stream));
                    client.expect(&stream);
                });
            });
        }
    });
}

fn serial_begins_no_request_before_the_deferred_one_is_answered(wiring: Wiring) {
    let story = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&story);
    let (give, promises) = channel();
    let service = Service::new(move |_, request, reply| {
        told.lock().expect("nobody panics with it").push(request.to_vec());
        if request.starts_with(b"later") {
            let _ = give.send(reply.defer().map_err(|_| Failed)?);
            return Ok(());
        }
        answer(reply, request)
    });
    let running = service.start(wiring, &ordered(wiring, Order::Serial));
    let (client, _) = running.connect();
    for round in 0..20 {
        client.send(b"before\nlater\nafter\n");
        client.expect(b"before\n");
        let promise = next(&promises);
        if round == 0 {
            running.turn_over();
        }
        client.expect_nothing();
        story.lock().expect("nobody panics with it").push(b"kept".to_vec());
        promise.complete(b"now").expect("the connection is there");
        client.expect(b"now\nafter\n");
        let story = std::mem::take(&mut *story.lock().expect("nobody panics with it"));
        assert_eq!(story, [&b"before"[..], b"later", b"kept", b"after"]);
    }
}

fn parallel_replies_leave_in_request_order_though_they_are_ready_in_reverse(wiring: Wiring) {
    let (service, promises) = deferring();
    let running = service.start(wiring, &ordered(wiring, Order::Parallel));
    let (client, _) = running.connect();
    client.send(b"0\n1\n2\n3\n");
    let mut begun: Vec<_> = (0..4).map(|_| next(&promises)).collect();
    begun.sort_by(|(one, _), (other, _)| other.cmp(one));
    let (first, promise) = begun.pop().expect("there are four");
    for (request, promise) in begun {
        promise.complete(&request).expect("the connection is there");
    }
    running.turn_over();
    client.expect_nothing();
    promise.complete(&first).expect("the connection is there");
    client.expect(b"0\n1\n2\n3\n");
}

fn unordered_replies_leave_as_they_are_ready(wiring: Wiring) {
    let (service, promises) = deferring();
    let running = service.start(wiring, &ordered(wiring, Order::Unordered));
    let (client, _) = running.connect();
    client.send(b"0\n1\n2\n3\n");
    let mut begun: Vec<_> = (0..4).map(|_| next(&promises)).collect();
    begun.sort_by(|(one, _), (other, _)| other.cmp(one));
    for (request, promise) in begun {
        promise.complete(&request).expect("the connection is there");
        client.expect(&[&request[..], b"\n"].concat());
    }
}

fn unordered_with_raw_framing_is_refused(wiring: Wiring) {
    let mut options = wiring.options();
    options.set_order(Order::Unordered);
    let error = Service::echo().start_at("127.0.0.1:0", wiring.mode(), &options).err().expect("it is refused");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("UNORDERED"), "{error}");
}

fn no_more_than_max_in_flight_are_begun_and_unanswered(wiring: Wiring) {
    const WINDOW: usize = 4;
    for order in [Order::Parallel, Order::Unordered] {
        let (service, promises) = deferring();
        let mut options = ordered(wiring, order);
        options.set_max_in_flight(WINDOW as u32).expect("in range");
        let running = service.start(wiring, &options);
        let (client, _) = running.connect();
        let requests: Vec<u8> = (0..100).flat_map(|number| format!("{number:02}\n").into_bytes()).collect();
        client.send(&requests);
        let mut open = Vec::new();
        let mut replied = 0;
        while replied < 100 {
            let due = WINDOW.min(100 - replied);
            while open.len() < due {
                open.push(next(&promises));
            }
            if replied == 0 {
                running.turn_over();
                assert_eq!(running.stats().requests, WINDOW as u64);
            }
            assert!(promises.try_recv().is_err(), "more than {WINDOW} were begun and unanswered, {order:?}");
            open.sort_by(|(one, _), (other, _)| one.cmp(other));
            let (request, promise) = open.remove(0);
            promise.complete(&request).expect("the connection is there");
            client.expect(&[&request[..], b"\n"].concat());
            replied += 1;
        }
    }
}

fn a_full_window_of_ready_replies_holds_later_requests_back(wiring: Wiring) {
    let (service, promises) = deferring();
    let mut options = ordered(wiring, Order::Parallel);
    options.set_max_in_flight(3).expect("in range");
    let running = service.start(wiring, &options);
    let (client, _) = running.connect();
    client.send(b"0\n1\n2\n3\n4\n");
    let mut begun: Vec<_> = (0..3).map(|_| next(&promises)).collect();
    begun.sort_by(|(one, _), (other, _)| other.cmp(one));
    let (first, promise) = begun.pop().expect("there are three");
    for (request, promise) in begun {
        promise.complete(&request).expect("the connection is there");
    }
    running.turn_over();
    assert!(promises.try_recv().is_err(), "three are begun, and none of their replies has left");
    promise.complete(&first).expect("the connection is there");
    client.expect(b"0\n1\n2\n");
    for _ in 0..2 {
        let (request, promise) = next(&promises);
        promise.complete(&request).expect("the connection is there");
    }
    client.expect(b"3\n4\n");
}

fn reading_pauses_while_max_in_flight_are_unanswered(wiring: Wiring) {
    let (service, promises) = deferring();
    let mut options = wiring.framed(Framing::Fixed(1_000));
    options.set_order(Order::Parallel).set_max_in_flight(2).expect("in range");
    let running = service.start(wiring, &options);
    let (client, _) = running.connect();
    client.send(&[b'x'; 3_000]);
    let begun = [next(&promises), next(&promises)];
    harness::until("reading pauses", || running.stats().reads_paused == 1);
    // Far more than the system's own buffers take.
    let sent = client.send_at_once(&vec![b'x'; 64 << 20]);
    running.turn_over();
    let (read, sent) = (running.bytes_in(), 3_000 + sent as u64);
    assert!(read <= 512 << 10, "{read} bytes were read of {sent} while reading was to pause");
    assert!(sent > read, "the client was not held up, after {sent} bytes");
    assert_eq!(running.stats().requests, 2);
    for (_, promise) in begun {
        promise.complete(b"y").expect("the connection is there");
    }
    client.expect(b"yy");
    next(&promises);
}

/// What begins and what is answered where the fifth of eight requests is `ending`.
fn ends_in_the_middle(wiring: Wiring, order: Order, ending: &'static [u8], last: &[u8], reason: CloseReason) {
    let begun = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&begun);
    let service = Service::new(move |_, request, reply| {
        seen.lock().expect("nobody panics with it").push(request.to_vec());
        answer(reply, request)?;
        match request {
            b"close" => reply.close().map_err(|_| Failed),
            b"fail" => Err(Failed),
            b"panic" => panic!("this panic is part of the test"),
            _ => Ok(()),
        }
    });
    let running = service.start(wiring, &ordered(wiring, order));
    let (client, _) = running.connect();
    client.send(&[&b"0\n1\n2\n3\n"[..], ending, b"\n5\n6\n7\n"].concat());
    client.expect_last(&[&b"0\n1\n2\n3\n"[..], last].concat());
    drop(client);
    running.closed_with(reason);
    drop(running);
    let begun = begun.lock().expect("nobody panics with it");
    assert_eq!(*begun, [&b"0"[..], b"1", b"2", b"3", ending]);
}

/// The orders in which requests begin one after the other.
fn one_by_one(wiring: Wiring) -> &'static [Order] {
    if wiring.has_workers() { &[Order::Serial] } else { &[Order::Serial, Order::Parallel, Order::Unordered] }
}

fn a_closing_reply_sends_those_before_it_and_begins_nothing_later(wiring: Wiring) {
    for order in one_by_one(wiring) {
        ends_in_the_middle(wiring, *order, b"close", b"close\n", CloseReason::Local);
    }
}

fn a_failing_request_sends_the_replies_before_it_and_begins_nothing_later(wiring: Wiring) {
    for order in one_by_one(wiring) {
        ends_in_the_middle(wiring, *order, b"fail", b"", CloseReason::CallbackFailed);
    }
}

fn a_panicking_request_sends_the_replies_before_it_and_begins_nothing_later(wiring: Wiring) {
    for order in one_by_one(wiring) {
        ends_in_the_middle(wiring, *order, b"panic", b"", CloseReason::CallbackFailed);
    }
}

fn parallel_a_closing_reply_waits_for_those_before_it_and_drops_those_after(wiring: Wiring) {
    let (service, promises) = deferring();
    let running = service.start(wiring, &ordered(wiring, Order::Parallel));
    let (client, _) = running.connect();
    client.send(b"0\n1\n2\n3\n");
    let mut begun: Vec<_> = (0..4).map(|_| next(&promises)).collect();
    begun.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut begun = begun.into_iter().map(|(_, promise)| promise);
    let [first, second, third, fourth] = std::array::from_fn(|_| begun.next().expect("there are four"));
    fourth.complete(b"d").expect("the connection is there");
    third.complete_and_close(b"c").expect("the connection is there");
    running.turn_over();
    client.send(b"4\n");
    running.turn_over();
    assert!(promises.try_recv().is_err(), "a request began behind one whose reply closes");
    client.expect_nothing();
    second.complete(b"b").expect("the connection is there");
    first.complete(b"a").expect("the connection is there");
    client.expect_last(b"a\nb\nc\n");
    client.finish();
    running.closed_with(CloseReason::Local);
    assert!(promises.try_recv().is_err(), "a request began behind one whose reply closes");
}

fn parallel_a_failing_request_waits_for_the_replies_before_it(wiring: Wiring) {
    let (service, promises) = deferring();
    let running = service.start(wiring, &ordered(wiring, Order::Parallel));
    let (client, _) = running.connect();
    client.send(b"0\n1\n2\n");
    let mut begun: Vec<_> = (0..3).map(|_| next(&promises)).collect();
    begun.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut begun = begun.into_iter().map(|(_, promise)| promise);
    let [first, second, third] = std::array::from_fn(|_| begun.next().expect("there are three"));
    third.complete(b"c").expect("the connection is there");
    second.fail().expect("the connection is there");
    running.turn_over();
    client.expect_nothing();
    first.complete(b"a").expect("the connection is there");
    client.expect_last(b"a\n");
    client.finish();
    running.closed_with(CloseReason::CallbackFailed);
}

fn all_that_came_before_the_fin_is_answered(wiring: Wiring) {
    for order in [Order::Serial, Order::Parallel] {
        let running = Service::echo().start(wiring, &ordered(wiring, order));
        let (client, _) = running.connect();
        let requests: Vec<u8> = (0..1_000).flat_map(|number| format!("{number}\n").into_bytes()).collect();
        client.send(&requests);
        client.finish();
        client.expect_last(&requests);
        running.closed_with(CloseReason::Peer);
    }
}

fn parallel_runs_three_requests_of_one_connection_at_once(wiring: Wiring) {
    let here = Tally::new();
    let service = Service::new(move |_, request, reply| {
        here.add();
        if here.reaches(3) { answer(reply, request) } else { Err(Failed) }
    });
    let running = service.start(wiring, &ordered(wiring, Order::Parallel));
    let (client, _) = running.connect();
    client.send(b"0\n1\n2\n");
    client.expect(b"0\n1\n2\n");
}

fn parallel_replies_of_workers_leave_in_request_order_though_they_finish_in_reverse(wiring: Wiring) {
    let finished = Tally::new();
    let service = Service::new(move |_, request, reply| {
        // The last of three goes first.
        let place = u64::from(b'2' - request[0]);
        if !finished.reaches(place) {
            return Err(Failed);
        }
        answer(reply, request)?;
        finished.add();
        Ok(())
    });
    let running = service.start(wiring, &ordered(wiring, Order::Parallel));
    let (client, _) = running.connect();
    client.send(b"0\n1\n2\n");
    client.expect(b"0\n1\n2\n");
}

fn unordered_replies_of_workers_leave_while_an_earlier_request_runs(wiring: Wiring) {
    let arrived = Tally::new();
    let gate = arrived.clone();
    let service = Service::new(move |_, request, reply| {
        if request == b"slow" && !gate.reaches(1) {
            return Err(Failed);
        }
        answer(reply, request)
    });
    let running = service.start(wiring, &ordered(wiring, Order::Unordered));
    let (client, _) = running.connect();
    client.send(b"slow\nfast\n");
    client.expect(b"fast\n");
    arrived.add();
    client.expect(b"slow\n");
}

fn serial_on_workers_runs_different_connections_at_once(wiring: Wiring) {
    let here = Tally::new();
    let service = Service::new(move |_, request, reply| {
        here.add();
        if here.reaches(3) { answer(reply, request) } else { Err(Failed) }
    });
    let running = service.start(wiring, &ordered(wiring, Order::Serial));
    let clients = [running.dial(), running.dial(), running.dial()];
    for client in &clients {
        client.send(b"x\n");
    }
    for client in &clients {
        client.expect(b"x\n");
    }
}

fn queued_requests_of_a_connection_that_reset_never_begin(wiring: Wiring) {
    for order in [Order::Serial, Order::Parallel, Order::Unordered] {
        let begun = Arc::new(Mutex::new(Vec::new()));
        let (gate, seen, (tell, blocked)) = (Tally::new(), Arc::clone(&begun), channel());
        let opens = gate.clone();
        let service = Service::new(move |_, request, reply| {
            seen.lock().expect("nobody panics with it").push(request.to_vec());
            if request == b"block" {
                let _ = tell.send(());
                return if opens.reaches(1) { answer(reply, request) } else { Err(Failed) };
            }
            answer(reply, request)
        });
        let mut options = ordered(wiring, order);
        one_worker(wiring, &mut options);
        let running = service.start(wiring, &options);
        let (blocker, _) = running.connect();
        blocker.send(b"block\n");
        next(&blocked);
        let (doomed, doomed_conn) = running.connect();
        doomed.send(b"1\n2\n3\n4\n5\n");
        running.has_admitted(6);
        doomed.reset();
        assert_eq!(running.closed_with(CloseReason::Reset).conn, doomed_conn);
        gate.add();
        blocker.expect(b"block\n");
        blocker.send(b"last\n");
        blocker.expect(b"last\n");
        drop(running);
        assert_eq!(*begun.lock().expect("nobody panics with it"), [&b"block"[..], b"last"], "{order:?}");
    }
}

fn the_last_call_of_a_connection_comes_after_its_running_request(wiring: Wiring) {
    for order in [Order::Serial, Order::Parallel, Order::Unordered] {
        let (gate, returned, (tell, begun)) = (Tally::new(), Arc::new(AtomicU64::new(0)), channel());
        let (opens, counted, counts) = (gate.clone(), Arc::clone(&returned), Arc::clone(&returned));
        let service = Service::new(move |_, _, _| {
            let _ = tell.send(());
            let opened = opens.reaches(1);
            counts.fetch_add(1, Ordering::SeqCst);
            if opened { Ok(()) } else { Err(Failed) }
        });
        let running = service
            .on_close(move |_, _| {
                // 100 for the call itself, so that the sum says what it saw.
                counted.fetch_add(100 * (1 + counted.load(Ordering::SeqCst)), Ordering::SeqCst);
            })
            .start(wiring, &ordered(wiring, order));
        let client = running.dial();
        client.send(b"x\n");
        next(&begun);
        client.reset();
        harness::until("the reset is noticed", || running.stats().connections_reset == 1);
        assert!(running.none_closed(), "the last call came while a request ran");
        gate.add();
        running.closed_with(CloseReason::Reset);
        assert_eq!(returned.load(Ordering::SeqCst), 201, "{order:?}");
    }
}

#[test]
fn raw_bytes_that_arrive_before_a_request_has_begun_join_it() {
    let (gate, (tell, begun)) = (Tally::new(), channel());
    let opens = gate.clone();
    let service = Service::new(move |_, request, reply| {
        let _ = tell.send(request.to_vec());
        if request == b"block" && !opens.reaches(1) {
            return Err(Failed);
        }
        answer(reply, request)
    });
    let mut options = Options::new();
    options.set_workers(1).expect("in range");
    let running = service.start(Wiring::Pooled, &options);
    let (blocker, client) = (running.dial(), running.dial());
    blocker.send(b"block");
    assert_eq!(next(&begun), b"block");
    let mut sent = Vec::new();
    for number in 0..10 {
        let part = format!("part {number};");
        client.send(part.as_bytes());
        sent.extend_from_slice(part.as_bytes());
        running.has_read(5 + sent.len() as u64);
    }
    assert_eq!(running.stats().requests, 2, "what joined is no request of its own");
    gate.add();
    assert_eq!(next(&begun), sent);
    client.expect(&sent);
}

#[test]
fn raw_bytes_that_join_a_request_make_it_no_longer_than_max_frame_bytes() {
    let (gate, (tell, begun)) = (Tally::new(), channel());
    let opens = gate.clone();
    let service = Service::new(move |_, request, reply| {
        let _ = tell.send(request.to_vec());
        if request == b"block" && !opens.reaches(1) {
            return Err(Failed);
        }
        answer(reply, request)
    });
    let mut options = Options::new();
    options.set_workers(1).expect("in range").set_max_frame_bytes(10).expect("in range");
    let running = service.start(Wiring::Pooled, &options);
    let (blocker, client) = (running.dial(), running.dial());
    blocker.send(b"block");
    assert_eq!(next(&begun), b"block");
    client.send(b"123");
    running.has_read(5 + 3);
    client.send(b"4567890");
    running.has_read(5 + 10);
    client.send(b"abc");
    gate.add();
    assert_eq!(next(&begun), b"1234567890");
    assert_eq!(next(&begun), b"abc");
    client.expect(b"1234567890abc");
}

/// How many in all; 10 000 000 takes minutes, and is run by hand.
fn pipelined_requests() -> u64 {
    std::env::var("PIPELINED_REQUESTS").ok().and_then(|count| count.parse().ok()).unwrap_or(200_000)
}

fn pipelined_requests_are_neither_out_of_order_nor_lost_nor_doubled(wiring: Wiring) {
    const CLIENTS: u64 = 5;
    let each = pipelined_requests() / CLIENTS;
    let begun: Arc<Vec<AtomicU8>> = Arc::new((0..CLIENTS * each).map(|_| AtomicU8::new(0)).collect());
    let counts = Arc::clone(&begun);
    let service = Service::new(move |_, request, reply| {
        let number = u64::from_be_bytes(request.try_into().map_err(|_| Failed)?);
        let count = counts.get(number as usize).ok_or(Failed)?;
        count.fetch_add(1, Ordering::Relaxed);
        spin(Duration::from_nanos(Random::new(number).next() % 20_000));
        answer(reply, request)
    });
    let mut options = wiring.framed(Framing::Fixed(8));
    options.set_order(Order::Parallel).set_workers(4).expect("in range");
    let running = service.start(wiring, &options);
    thread::scope(|scope| {
        for client_number in 0..CLIENTS {
            let client = running.dial();
            scope.spawn(move || {
                let numbers = client_number * each..(client_number + 1) * each;
                let (writer, sent) = (client.twin(), numbers.clone());
                thread::scope(|scope| {
                    scope.spawn(move || {
                        let mut random = Random::new(client_number);
                        let mut portion = Vec::new();
                        for number in sent {
                            portion.extend_from_slice(&number.to_be_bytes());
                            if random.below(500) == 0 {
                                writer.send(&portion);
                                portion.clear();
                            }
                        }
                        writer.send(&portion);
                        writer.finish();
                    });
                    for number in numbers {
                        assert_eq!(client.receive(8), number.to_be_bytes(), "in place of {number}");
                    }
                    client.expect_last(b"");
                });
            });
        }
    });
    assert!(begun.iter().all(|count| count.load(Ordering::Relaxed) == 1), "a request began twice, or never");
    let stats = running.stats();
    assert_eq!((stats.requests, stats.replies), (CLIENTS * each, CLIENTS * each));
}
