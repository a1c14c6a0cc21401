//! Owns the promises about what a server says of itself: each number counts what its name says, those of the reactors
//! make up those of all, and what is counted "now" comes back to nothing.
//!
//! `accept_errors` is only seen to stay at 0: to make one, the whole process has to run out of descriptors.

#[expect(dead_code, unused_imports, reason = "each suite uses its part")]
mod harness;

use std::time::Duration;

use harness::{Service, Wiring, answer, deferring, in_each_mode, lines, next, spin, until};
use reactor_core::{CloseReason, ErrorKind, Failed, Framing, Order, Stats};

in_each_mode!(
    there_are_stats_of_each_reactor_and_of_no_other,
    connections_are_counted_as_they_come_and_go,
    connections_that_the_handler_refuses_are_counted,
    connections_beyond_max_connections_are_counted,
    connections_that_time_out_are_counted,
    connections_that_reset_are_counted,
    requests_replies_and_bytes_are_counted,
    requests_on_which_the_handler_fails_are_counted,
    requests_in_flight_are_those_admitted_and_not_answered,
    memory_holds_a_partial_frame_until_it_is_answered,
    memory_holds_output_that_the_peer_does_not_take,
    pauses_of_reading_are_counted,
    times_of_sampled_requests_are_told,
    the_longest_turn_of_a_loop_is_told,
    the_stats_of_the_reactors_add_up_to_those_of_all,
    what_is_counted_now_comes_back_to_nothing_however_connections_end,
);

fn there_are_stats_of_each_reactor_and_of_no_other(wiring: Wiring) {
    let running = Service::echo().start(wiring, &wiring.options());
    assert_eq!(running.stats().reactors, wiring.reactors() as u64);
    for reactor in 0..wiring.reactors() {
        assert_eq!(running.server.stats(Some(reactor)).expect("it is there").reactors, 1);
    }
    for reactor in [wiring.reactors(), 1_024, usize::MAX] {
        let error = running.server.stats(Some(reactor)).expect_err("it is not there");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(&reactor.to_string()), "{error}");
    }
}

fn connections_are_counted_as_they_come_and_go(wiring: Wiring) {
    let running = Service::echo().start(wiring, &wiring.options());
    let clients: Vec<_> = (0..5).map(|_| running.connect().0).collect();
    until("all are open", || running.stats().connections_open == 5);
    assert_eq!(running.stats().connections_accepted, 5);
    for (left, client) in (0..5).rev().zip(&clients) {
        client.finish();
        client.expect_last(b"");
        running.closed_with(CloseReason::Peer);
        until("one has gone", || running.stats().connections_open == left);
    }
    let stats = running.stats();
    assert_eq!((stats.connections_accepted, stats.connections_refused, stats.accept_errors), (5, 0, 0));
    assert_eq!((stats.connections_reset, stats.connections_timed_out), (0, 0));
}

fn connections_that_the_handler_refuses_are_counted(wiring: Wiring) {
    let service = Service::echo().on_open(|_, _| false);
    let running = service.start(wiring, &wiring.options());
    for _ in 0..3 {
        running.dial().expect_last(b"");
    }
    until("all are refused", || running.stats().connections_refused == 3);
    let stats = running.stats();
    assert_eq!((stats.connections_accepted, stats.connections_open), (3, 0));
    assert!(running.none_closed(), "what was never taken has no last call");
}

fn connections_beyond_max_connections_are_counted(wiring: Wiring) {
    let mut options = wiring.options();
    options.set_max_connections(2).expect("in range");
    let running = Service::echo().start(wiring, &options);
    let (one, _) = running.connect();
    let (other, _) = running.connect();
    for _ in 0..3 {
        running.dial().expect_last(b"");
    }
    until("all are refused", || running.stats().connections_refused == 3);
    let stats = running.stats();
    assert_eq!((stats.connections_accepted, stats.connections_open), (5, 2));
    other.send(b"unharmed");
    other.expect(b"unharmed");
    // One that has gone makes room.
    one.finish();
    one.expect_last(b"");
    running.closed();
    until("there is room", || running.dial().is_echoed(b"room"));
}

fn connections_that_time_out_are_counted(wiring: Wiring) {
    let mut options = wiring.options();
    options.set_idle_timeout_ms(20);
    let running = Service::echo().start(wiring, &options);
    let _clients = [running.dial(), running.dial()];
    for _ in 0..2 {
        running.closed_with(CloseReason::IdleTimeout);
    }
    until("both are counted", || running.stats().connections_timed_out == 2);
    assert_eq!(running.stats().connections_reset, 0);
}

fn connections_that_reset_are_counted(wiring: Wiring) {
    let running = Service::echo().start(wiring, &wiring.options());
    for _ in 0..3 {
        running.connect().0.reset();
        let closed = running.closed_with(CloseReason::Reset);
        assert_eq!(closed.os_error, nix::errno::Errno::ECONNRESET as i32);
    }
    until("all are counted", || running.stats().connections_reset == 3);
}

fn requests_replies_and_bytes_are_counted(wiring: Wiring) {
    let service = Service::new(|_, request, reply| {
        answer(reply, request)?;
        answer(reply, request)
    });
    let running = service.start(wiring, &wiring.framed(lines(false)));
    let (client, _) = running.connect();
    client.send(b"1\n22\n333\n");
    client.expect(b"1\n1\n22\n22\n333\n333\n");
    until("all has been counted", || running.stats().bytes_out == 18 && running.stats().replies == 3);
    let stats = running.stats();
    assert_eq!((stats.requests, stats.bytes_in, stats.callback_failures), (3, 9, 0));
}

fn requests_on_which_the_handler_fails_are_counted(wiring: Wiring) {
    let service = Service::new(|_, request, reply| match request {
        b"fail" => Err(Failed),
        b"panic" => panic!("this panic is part of the test"),
        b"drop" => reply.defer().map(drop).map_err(|_| Failed),
        _ => answer(reply, request),
    });
    let running = service.start(wiring, &wiring.framed(lines(true)));
    for (count, request) in (1..).zip([&b"fail"[..], b"panic", b"drop"]) {
        let (client, _) = running.connect();
        client.send(&[b"good\n", request, b"\n"].concat());
        client.expect_last(b"good\n");
        client.finish();
        running.closed_with(CloseReason::CallbackFailed);
        until("it is counted", || running.stats().callback_failures == count);
        assert_eq!((running.stats().requests, running.stats().replies), (2 * count, count));
    }
}

fn requests_in_flight_are_those_admitted_and_not_answered(wiring: Wiring) {
    let (service, promises) = deferring();
    let mut options = wiring.framed(lines(true));
    options.set_order(Order::Parallel);
    let running = service.start(wiring, &options);
    let ((one, _), (other, _)) = (running.connect(), running.connect());
    one.send(b"1\n2\n3\n");
    other.send(b"4\n5\n");
    let mut begun: Vec<_> = (0..5).map(|_| next(&promises)).collect();
    until("five are in flight", || running.stats().requests_in_flight == 5);
    begun.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (left, (request, promise)) in (0..5).rev().zip(begun) {
        promise.complete(&request).expect("the connection is there");
        until("one less is in flight", || running.stats().requests_in_flight == left);
    }
    one.expect(b"1\n2\n3\n");
    other.expect(b"4\n5\n");
    assert_eq!((running.stats().requests, running.stats().replies), (5, 5));
}

fn memory_holds_a_partial_frame_until_it_is_answered(wiring: Wiring) {
    const LEN: usize = 50_000;
    let running = Service::echo().start(wiring, &wiring.framed(Framing::Fixed(LEN)));
    assert_eq!(running.stats().memory_bytes, 0);
    let (client, _) = running.connect();
    client.send(&[b'x'; LEN - 1]);
    until("the partial frame counts", || running.stats().memory_bytes >= LEN as u64 - 1);
    let memory = running.stats().memory_bytes;
    assert!(memory <= 4 * LEN as u64, "{memory} bytes for a partial frame of {LEN}");
    client.send(b"x");
    client.expect(&[b'x'; LEN]);
    until("nothing counts any more", || running.stats().memory_bytes == 0);
    // One that never gets whole.
    client.send(&[b'x'; LEN - 1]);
    until("the partial frame counts", || running.stats().memory_bytes >= LEN as u64 - 1);
    client.reset();
    running.closed_with(CloseReason::Reset);
    until("nothing counts any more", || running.stats().memory_bytes == 0);
}

fn memory_holds_output_that_the_peer_does_not_take(wiring: Wiring) {
    let running = Service::echo().start(wiring, &wiring.options());
    let (client, conn) = running.connect();
    until("the output is full", || running.server.send(conn, &[0; 64 << 10]).is_err());
    until("it counts", || running.stats().memory_bytes >= 2 << 20);
    client.reset();
    running.closed_with(CloseReason::Reset);
    until("nothing counts any more", || running.stats().memory_bytes == 0);
}

fn pauses_of_reading_are_counted(wiring: Wiring) {
    let (service, promises) = deferring();
    let mut options = wiring.framed(lines(true));
    options.set_order(Order::Parallel).set_max_in_flight(1).expect("in range");
    let running = service.start(wiring, &options);
    let (client, _) = running.connect();
    for pauses in 1..=3 {
        client.send(b"x\n");
        until("reading has paused", || running.stats().reads_paused == pauses);
        next(&promises).1.complete(b"y").expect("the connection is there");
        client.expect(b"y\n");
        until("nothing is in flight", || running.stats().requests_in_flight == 0);
    }
}

fn times_of_sampled_requests_are_told(wiring: Wiring) {
    const REQUESTS: usize = 130;
    let work = Duration::from_micros(200);
    let service = Service::new(move |_, request, reply| {
        spin(work);
        answer(reply, request)
    });
    let mut options = wiring.framed(Framing::Fixed(1));
    // Each request is a stay of its own on the one worker, so that every 64th is sampled.
    options.set_order(Order::Parallel).set_max_in_flight(1_000).expect("in range");
    if wiring.has_workers() {
        options.set_workers(1).expect("in range");
    }
    let running = service.start(wiring, &options);
    let (client, _) = running.connect();
    assert_eq!((running.stats().queue_wait_us_p99, running.stats().process_us_p99), (0, 0));
    client.send(&[b'x'; REQUESTS]);
    client.expect(&[b'x'; REQUESTS]);
    let stats = running.stats();
    assert!(stats.process_us_p99 >= 200, "{} us for work of 200", stats.process_us_p99);
    // The last of those that are sampled waited for a hundred before it.
    assert!(stats.queue_wait_us_p99 >= 1_000, "{} us behind 128 requests", stats.queue_wait_us_p99);
}

fn the_longest_turn_of_a_loop_is_told(wiring: Wiring) {
    let service = Service::echo().on_open(|_, _| {
        spin(Duration::from_millis(3));
        true
    });
    let running = service.start(wiring, &wiring.options());
    let (client, _) = running.connect();
    client.send(b"x");
    client.expect(b"x");
    until("the turn is told", || running.stats().loop_busy_us_max >= 3_000);
}

fn the_stats_of_the_reactors_add_up_to_those_of_all(wiring: Wiring) {
    let running = Service::echo().start(wiring, &wiring.framed(lines(false)));
    let mut clients: Vec<_> = (0..10).map(|_| running.connect().0).collect();
    for (number, client) in (1_usize..).zip(&clients) {
        let requests = b"request\n".repeat(number);
        client.send(&requests);
        client.expect(&requests);
    }
    clients.split_off(7).into_iter().for_each(|client| client.reset());
    for _ in 0..3 {
        running.closed_with(CloseReason::Reset);
    }
    let quiet = |stats: Stats| stats.bytes_out == 55 * 8 && stats.replies == 55 && stats.connections_open == 7;
    until("all has been counted", || quiet(running.stats()) && running.stats().memory_bytes == 0);
    let all = running.stats();
    let each: Vec<_> =
        (0..wiring.reactors()).map(|reactor| running.server.stats(Some(reactor)).expect("it is there")).collect();
    let fields: [fn(&Stats) -> u64; 14] = [
        |stats| stats.reactors,
        |stats| stats.connections_open,
        |stats| stats.connections_accepted,
        |stats| stats.connections_refused,
        |stats| stats.connections_timed_out,
        |stats| stats.connections_reset,
        |stats| stats.requests,
        |stats| stats.replies,
        |stats| stats.callback_failures,
        |stats| stats.requests_in_flight,
        |stats| stats.bytes_in,
        |stats| stats.bytes_out,
        |stats| stats.memory_bytes,
        |stats| stats.reads_paused,
    ];
    for (position, field) in fields.iter().enumerate() {
        assert_eq!(each.iter().map(field).sum::<u64>(), field(&all), "field {position} of {each:?}, {all:?}");
    }
    // The loops may have had a longer turn in between.
    assert!(each.iter().map(|stats| stats.loop_busy_us_max).max() >= Some(all.loop_busy_us_max));
    assert!(each.iter().all(|stats| stats.requests > 0), "a reactor did nothing: {each:?}");
    assert_eq!((all.connections_accepted, all.connections_reset, all.requests), (10, 3, 55));
}

fn what_is_counted_now_comes_back_to_nothing_however_connections_end(wiring: Wiring) {
    for order in [Order::Serial, Order::Parallel, Order::Unordered] {
        let (service, promises) = deferring();
        let mut options = wiring.framed(Framing::Fixed(1_000));
        options.set_order(order);
        let running = service.start(wiring, &options);
        let mut clients = Vec::new();
        let mut open = Vec::new();
        for _ in 0..6 {
            let (client, conn) = running.connect();
            // Three requests and a part of one, of which at least one is begun.
            client.send(&[b'x'; 3_500]);
            open.push(next(&promises).1);
            clients.push((client, conn));
        }
        running.has_read(6 * 3_500);
        let [(one, _), (_two, second), (_three, third), (four, _), (five, _), (six, _)] =
            clients.try_into().expect("there are six");
        one.reset();
        running.server.abort(second).expect("it is open");
        running.server.close(third).expect("it is open");
        four.finish();
        drop(five);
        until("two have gone", || running.stats().connections_open <= 4);
        // Promises are kept, failed and dropped, on connections that are there and that are not, as they come.
        let mut turn = 0;
        let mut settle = |promise: reactor_core::Deferred| {
            turn += 1;
            match turn % 4 {
                0 => drop(promise),
                1 => drop(promise.fail()),
                _ => drop(promise.complete(&[b'y'; 5_000])),
            }
        };
        open.into_iter().for_each(&mut settle);
        six.reset();
        until("all have gone", || {
            promises.try_iter().for_each(|(_, promise)| settle(promise));
            running.stats().connections_open == 0
        });
        promises.try_iter().for_each(|(_, promise)| settle(promise));
        until("nothing is in flight", || running.stats().requests_in_flight == 0);
        until("nothing counts any more", || running.stats().memory_bytes == 0);
        let each = (0..wiring.reactors()).map(|reactor| running.server.stats(Some(reactor)).expect("it is there"));
        assert!(each.into_iter().all(|stats| stats.requests_in_flight + stats.memory_bytes == 0), "{order:?}");
    }
}
