//! Owns the promises about replies that come later: from any thread, in their place, harmless once nobody waits for them.

#[expect(dead_code, unused_imports, reason = "each suite uses its part")]
mod harness;

use std::sync::mpsc::channel;
use std::thread;

use harness::{Service, Tally, Wiring, answer, deferring, in_each_mode, lines, next, prefix, until};
use reactor_core::{Batch, CloseReason, ErrorKind, Failed, Framing, Order};

in_each_mode!(
    a_promise_kept_before_the_callback_returns_is_answered_once,
    a_promise_kept_by_another_thread_after_the_callback_is_answered,
    what_was_written_before_is_the_beginning_of_the_reply,
    complete_and_close_sends_the_reply_and_closes,
    a_close_before_the_promise_holds_once_it_is_kept,
    nothing_begins_behind_a_promise_whose_reply_closes,
    a_failed_promise_closes_once_the_replies_before_it_are_out,
    a_dropped_promise_is_a_failed_one,
    a_promise_to_a_connection_that_ended_is_gone,
    a_promise_to_a_server_that_was_dropped_is_gone,
    a_deferred_reply_takes_no_further_calls,
    serial_replies_keep_their_order_where_some_are_deferred,
    parallel_replies_keep_their_order_where_some_are_deferred,
    ten_thousand_promises_kept_at_once_are_all_answered,
    promises_of_many_connections_kept_by_many_threads_reach_their_own,
    promises_kept_in_a_batch_are_answered_when_it_is_posted,
    a_batch_that_is_dropped_is_posted_and_one_for_a_dead_connection_says_so,
    a_promise_past_the_output_limit_closes_with_output_limit,
    a_promise_just_at_the_output_limit_is_answered,
    a_callback_that_defers_and_then_fails_has_failed,
    a_callback_that_defers_and_then_panics_has_failed,
    a_callback_that_fails_after_its_promise_was_kept_has_failed,
    a_stripped_framing_frames_what_is_deferred,
    an_empty_promise_is_an_empty_frame_where_the_framing_strips,
    the_memory_of_a_deferred_request_counts_until_it_is_answered,
    a_fin_leaves_time_for_the_promise,
);

fn a_promise_kept_before_the_callback_returns_is_answered_once(wiring: Wiring) {
    for order in [Order::Serial, Order::Parallel, Order::Unordered] {
        let service = Service::new(|_, request, reply| {
            let promise = reply.defer().map_err(|_| Failed)?;
            promise.complete(request).map_err(|_| Failed)
        });
        let mut options = wiring.framed(lines(true));
        options.set_order(order).set_max_in_flight(1).expect("in range");
        let running = service.start(wiring, &options);
        let (client, _) = running.connect();
        let requests: Vec<u8> = (0..200).flat_map(|number| format!("{number}\n").into_bytes()).collect();
        client.send(&requests);
        client.finish();
        client.expect_last(&requests);
        running.closed_with(CloseReason::Peer);
        assert_eq!(running.stats().replies, 200);
    }
}

fn a_promise_kept_by_another_thread_after_the_callback_is_answered(wiring: Wiring) {
    let (service, promises) = deferring();
    let running = service.start(wiring, &wiring.options());
    let (client, conn) = running.connect();
    for number in 0..50 {
        let request = format!("request {number}");
        client.send(request.as_bytes());
        let (seen, promise) = next(&promises);
        assert_eq!((seen, promise.conn()), (request.clone().into_bytes(), conn));
        // A thread that has nothing to do with the server.
        thread::spawn(move || promise.complete(request.to_uppercase().as_bytes()))
            .join()
            .expect("it does not panic")
            .expect("the connection is there");
        client.expect(format!("REQUEST {number}").as_bytes());
    }
}

fn what_was_written_before_is_the_beginning_of_the_reply(wiring: Wiring) {
    let (give, promises) = channel();
    let service = Service::new(move |_, request, reply| {
        answer(reply, b"to ")?;
        answer(reply, request)?;
        // Lent and not taken: it is no part of the reply.
        reply.reserve(10).map_err(|_| Failed)?.fill(b'!');
        let _ = give.send(reply.defer().map_err(|_| Failed)?);
        Ok(())
    });
    let running = service.start(wiring, &wiring.options());
    let (client, _) = running.connect();
    client.send(b"a");
    let promise = next(&promises);
    running.turn_over();
    client.expect_nothing();
    promise.complete(b": yes").expect("the connection is there");
    client.send(b"b");
    client.expect(b"to a: yes");
    next(&promises).complete(b"").expect("the connection is there");
    client.expect(b"to b");
}

fn complete_and_close_sends_the_reply_and_closes(wiring: Wiring) {
    let (service, promises) = deferring();
    let running = service.start(wiring, &wiring.framed(lines(true)));
    let (client, _) = running.connect();
    client.send(b"first\nnever begun\n");
    next(&promises).1.complete_and_close(b"bye").expect("the connection is there");
    client.expect_last(b"bye\n");
    client.finish();
    running.closed_with(CloseReason::Local);
    assert!(promises.try_recv().is_err(), "a request began behind one whose reply closes");
}

fn a_close_before_the_promise_holds_once_it_is_kept(wiring: Wiring) {
    let (give, promises) = channel();
    let service = Service::new(move |_, _, reply| {
        reply.close().map_err(|_| Failed)?;
        let _ = give.send(reply.defer().map_err(|_| Failed)?);
        Ok(())
    });
    let running = service.start(wiring, &wiring.options());
    let (client, _) = running.connect();
    client.send(b"x");
    next(&promises).complete(b"bye").expect("the connection is there");
    client.expect_last(b"bye");
    client.finish();
    running.closed_with(CloseReason::Local);
}

/// What runs at once with it goes on; so there is one worker, which takes up the next once it has left the first.
fn nothing_begins_behind_a_promise_whose_reply_closes(wiring: Wiring) {
    for order in [Order::Serial, Order::Parallel, Order::Unordered] {
        let (give, promises) = channel();
        let service = Service::new(move |_, _, reply| {
            reply.close().map_err(|_| Failed)?;
            let _ = give.send(reply.defer().map_err(|_| Failed)?);
            Ok(())
        });
        let mut options = wiring.framed(lines(true));
        options.set_order(order);
        if wiring.has_workers() {
            options.set_workers(1).expect("in range");
        }
        let running = service.start(wiring, &options);
        let (client, _) = running.connect();
        client.send(b"last\n");
        let last = next(&promises);
        running.turn_over();
        client.send(b"one too many\nanother\n");
        running.turn_over();
        assert!(promises.try_recv().is_err(), "{order:?}: a request began behind one whose reply closes");
        last.complete(b"bye").expect("the connection is there");
        client.expect_last(b"bye\n");
        client.finish();
        running.closed_with(CloseReason::Local);
        assert!(promises.try_recv().is_err(), "{order:?}: a request began behind one whose reply closes");
        until("nothing is in flight", || running.stats().requests_in_flight == 0);
    }
}

fn a_failed_promise_closes_once_the_replies_before_it_are_out(wiring: Wiring) {
    for order in [Order::Serial, Order::Parallel] {
        let (give, promises) = channel();
        let service = Service::new(move |_, request, reply| {
            answer(reply, request)?;
            if request == b"later" {
                let _ = give.send(reply.defer().map_err(|_| Failed)?);
            }
            Ok(())
        });
        let mut options = wiring.framed(lines(true));
        options.set_order(order);
        let running = service.start(wiring, &options);
        let (client, _) = running.connect();
        client.send(b"1\n2\nlater\n");
        next(&promises).fail().expect("the connection is there");
        client.expect_last(b"1\n2\n");
        client.finish();
        running.closed_with(CloseReason::CallbackFailed);
        assert_eq!(running.stats().callback_failures, 1);
    }
}

fn a_dropped_promise_is_a_failed_one(wiring: Wiring) {
    let (service, promises) = deferring();
    let running = service.start(wiring, &wiring.options());
    let (client, _) = running.connect();
    client.send(b"x");
    drop(next(&promises));
    client.expect_last(b"");
    client.finish();
    running.closed_with(CloseReason::CallbackFailed);
}

fn a_promise_to_a_connection_that_ended_is_gone(wiring: Wiring) {
    let (service, promises) = deferring();
    let mut options = wiring.framed(lines(true));
    options.set_order(Order::Parallel);
    let running = service.start(wiring, &options);
    let (client, _) = running.connect();
    client.send(b"1\n2\n3\n4\n");
    let [one, two, three, four] = std::array::from_fn(|_| next(&promises).1);
    client.reset();
    running.closed_with(CloseReason::Reset);
    assert_eq!(one.complete(b"x").map_err(|error| error.kind()), Err(ErrorKind::Gone));
    assert_eq!(two.complete_and_close(b"x").map_err(|error| error.kind()), Err(ErrorKind::Gone));
    assert_eq!(three.fail().map_err(|error| error.kind()), Err(ErrorKind::Gone));
    drop(four);
    // The slot's next connection hears nothing of it.
    let (successor, _) = running.connect();
    successor.send(b"5\n");
    next(&promises).1.complete(b"mine").expect("the connection is there");
    successor.expect(b"mine\n");
}

fn a_promise_to_a_server_that_was_dropped_is_gone(wiring: Wiring) {
    let (service, promises) = deferring();
    let mut options = wiring.framed(lines(true));
    options.set_order(Order::Parallel);
    let running = service.start(wiring, &options);
    let (client, _) = running.connect();
    client.send(b"1\n2\n3\n4\n");
    let [one, two, three, four] = std::array::from_fn(|_| next(&promises).1);
    drop(running);
    assert_eq!(one.complete(b"x").map_err(|error| error.kind()), Err(ErrorKind::Gone));
    assert_eq!(two.complete_and_close(b"x").map_err(|error| error.kind()), Err(ErrorKind::Gone));
    assert_eq!(three.fail().map_err(|error| error.kind()), Err(ErrorKind::Gone));
    drop(four);
}

fn a_deferred_reply_takes_no_further_calls(wiring: Wiring) {
    let (give, promises) = channel();
    let service = Service::new(move |_, _, reply| {
        let promise = reply.defer().map_err(|_| Failed)?;
        let kinds = [
            reply.write(b"x").map_err(|error| error.kind()),
            reply.reserve(1).map(|_| ()).map_err(|error| error.kind()),
            reply.commit(0).map_err(|error| error.kind()),
            reply.close().map_err(|error| error.kind()),
            reply.defer().map(|_| ()).map_err(|error| error.kind()),
        ];
        let _ = give.send((promise, kinds));
        Ok(())
    });
    let running = service.start(wiring, &wiring.options());
    let (client, _) = running.connect();
    client.send(b"x");
    let (promise, kinds) = next(&promises);
    assert_eq!(kinds, [Err(ErrorKind::InvalidArgument); 5]);
    promise.complete(b"intact").expect("the connection is there");
    client.expect(b"intact");
}

/// Every third request is deferred, and kept by another thread.
fn keep_their_order(wiring: Wiring, order: Order) {
    const REQUESTS: usize = 5_000;
    let (give, promises) = channel();
    let service = Service::new(move |_, request, reply| {
        if request.last().is_some_and(|digit| digit % 3 == 0) {
            let _ = give.send((request.to_vec(), reply.defer().map_err(|_| Failed)?));
            return Ok(());
        }
        answer(reply, request)
    });
    let mut options = wiring.framed(lines(true));
    options.set_order(order);
    let running = service.start(wiring, &options);
    let (client, _) = running.connect();
    let requests: Vec<u8> = (0..REQUESTS).flat_map(|number| format!("{number}\n").into_bytes()).collect();
    thread::scope(|scope| {
        // It ends with the server, whose handler has the other end.
        thread::spawn(move || {
            for (request, promise) in promises {
                let _ = promise.complete(&request);
            }
        });
        let writer = client.twin();
        let sent = &requests;
        scope.spawn(move || writer.send(sent));
        client.expect(&requests);
    });
}

fn serial_replies_keep_their_order_where_some_are_deferred(wiring: Wiring) {
    keep_their_order(wiring, Order::Serial);
}

fn parallel_replies_keep_their_order_where_some_are_deferred(wiring: Wiring) {
    keep_their_order(wiring, Order::Parallel);
}

fn ten_thousand_promises_kept_at_once_are_all_answered(wiring: Wiring) {
    const REQUESTS: u32 = 10_000;
    for order in [Order::Parallel, Order::Unordered] {
        let (service, promises) = deferring();
        let mut options = wiring.framed(Framing::Fixed(4));
        options.set_order(order).set_max_in_flight(REQUESTS).expect("in range");
        let running = service.start(wiring, &options);
        let (client, _) = running.connect();
        let requests: Vec<u8> = (0..REQUESTS).flat_map(u32::to_be_bytes).collect();
        client.send(&requests);
        let open: Vec<_> = (0..REQUESTS).map(|_| next(&promises)).collect();
        assert_eq!(running.stats().requests_in_flight, u64::from(REQUESTS));
        thread::spawn(move || {
            for (request, promise) in open.into_iter().rev() {
                promise.complete(&request).expect("the connection is there");
            }
        })
        .join()
        .expect("each is taken");
        let mut replies: Vec<Vec<u8>> = client.receive(requests.len()).chunks(4).map(<[u8]>::to_vec).collect();
        if order == Order::Unordered {
            replies.sort();
        }
        assert!(replies.concat() == requests, "a reply is lost, doubled or out of place");
        until("nothing is in flight", || running.stats().requests_in_flight == 0);
    }
}

fn promises_of_many_connections_kept_by_many_threads_reach_their_own(wiring: Wiring) {
    let (service, promises) = deferring();
    let running = service.start(wiring, &wiring.framed(Framing::Fixed(8)));
    let clients: Vec<_> = (0..40).map(|_| running.connect().0).collect();
    for round in 0..20_u32 {
        for (number, client) in (0_u32..).zip(&clients) {
            client.send(&[round.to_be_bytes(), number.to_be_bytes()].concat());
        }
        let mut open: Vec<_> = (0..40).map(|_| next(&promises)).collect();
        thread::scope(|scope| {
            while !open.is_empty() {
                let share = open.split_off(open.len().saturating_sub(10));
                scope.spawn(move || {
                    for (request, promise) in share {
                        promise.complete(&request).expect("the connection is there");
                    }
                });
            }
        });
        for (number, client) in (0_u32..).zip(&clients) {
            client.expect(&[round.to_be_bytes(), number.to_be_bytes()].concat());
        }
    }
}

fn promises_kept_in_a_batch_are_answered_when_it_is_posted(wiring: Wiring) {
    let (service, promises) = deferring();
    let mut options = wiring.framed(lines(true));
    options.set_order(Order::Parallel);
    let running = service.start(wiring, &options);
    let clients: Vec<_> = (0..4).map(|_| running.connect().0).collect();
    let mut batch = Batch::new();
    for (number, client) in clients.iter().enumerate() {
        client.send(b"1\n2\n3\n");
        // Workers run them at once: they come in any order.
        let mut asked: [_; 3] = std::array::from_fn(|_| next(&promises));
        asked.sort_by(|(one, _), (other, _)| one.cmp(other));
        let [one, two, three] = asked.map(|(_, promise)| promise);
        batch.complete(one, b"one").expect("the connection is there");
        batch.skip(two).expect("the connection is there");
        let last = match number {
            0 => batch.complete(three, b"three"),
            1 => batch.complete_and_close(three, b"three"),
            2 => batch.skip_and_close(three),
            _ => batch.fail(three),
        };
        last.expect("the connection is there");
    }
    running.turn_over();
    clients.iter().for_each(|client| client.expect_nothing());
    batch.post();
    clients[0].expect(b"one\nthree\n");
    clients[1].expect_last(b"one\nthree\n");
    clients[2].expect_last(b"one\n");
    clients[3].expect_last(b"one\n");
    assert_eq!(running.stats().callback_failures, 1);
    // What was posted is no longer there to be posted, and what comes is.
    clients[0].send(b"4\n");
    batch.complete(next(&promises).1, b"four").expect("the connection is there");
    batch.post();
    clients[0].expect(b"four\n");
}

fn a_batch_that_is_dropped_is_posted_and_one_for_a_dead_connection_says_so(wiring: Wiring) {
    let (service, promises) = deferring();
    let running = service.start(wiring, &wiring.framed(lines(true)));
    let (living, living_conn) = running.connect();
    let (dead, _) = running.connect();
    living.send(b"a\n");
    let kept = next(&promises).1;
    assert_eq!(kept.conn(), living_conn);
    dead.send(b"b\n");
    let late = next(&promises).1;
    dead.reset();
    running.closed_with(CloseReason::Reset);
    let mut batch = Batch::new();
    assert_eq!(batch.complete(late, b"x").map_err(|error| error.kind()), Err(ErrorKind::Gone));
    batch.complete(kept, b"yes").expect("the connection is there");
    drop(batch);
    living.expect(b"yes\n");
}

fn a_promise_past_the_output_limit_closes_with_output_limit(wiring: Wiring) {
    let (give, promises) = channel();
    let service = Service::new(move |_, request, reply| {
        if request == b"1" {
            return answer(reply, request);
        }
        answer(reply, &[b'x'; 600])?;
        let _ = give.send(reply.defer().map_err(|_| Failed)?);
        Ok(())
    });
    let mut options = wiring.framed(lines(true));
    options.set_output_limit_bytes(1_000).expect("in range");
    let running = service.start(wiring, &options);
    let (client, _) = running.connect();
    client.send(b"1\n2\n");
    let error = next(&promises).complete(&[b'x'; 401]).expect_err("1001 bytes pass the limit");
    assert_eq!(error.kind(), ErrorKind::OverLimit);
    client.expect_last(b"1\n");
    client.finish();
    running.closed_with(CloseReason::OutputLimit);
}

fn a_promise_just_at_the_output_limit_is_answered(wiring: Wiring) {
    let (service, promises) = deferring();
    let mut options = wiring.options();
    options.set_output_limit_bytes(1_000).expect("in range");
    let running = service.start(wiring, &options);
    let (client, _) = running.connect();
    client.send(b"x");
    next(&promises).1.complete(&[b'x'; 1_000]).expect("1000 bytes are within the limit");
    client.expect(&[b'x'; 1_000]);
}

/// A callback whose promise is given away, or kept, and which then `ends`.
fn defers_and_then(wiring: Wiring, keeps: bool, ends: fn() -> Result<(), Failed>) {
    for order in [Order::Serial, Order::Parallel, Order::Unordered] {
        let (give, promises) = channel();
        let service = Service::new(move |_, request, reply| {
            if request == b"good" {
                return answer(reply, request);
            }
            let promise = reply.defer().map_err(|_| Failed)?;
            if keeps {
                let _ = promise.complete(b"kept");
            } else {
                let _ = give.send(promise);
            }
            ends()
        });
        let mut options = wiring.framed(lines(true));
        options.set_order(order);
        let running = service.start(wiring, &options);
        let (client, _) = running.connect();
        client.send(b"good\n");
        client.expect(b"good\n");
        client.send(b"bad\n");
        let late = if keeps { None } else { Some(next(&promises)) };
        let rest = client.receive_to_end().expect("a FIN");
        // Where it was kept on another thread's loop, its reply may have been under way already.
        assert!(rest.is_empty() || keeps && rest == b"kept\n", "{rest:?}");
        client.finish();
        running.closed_with(CloseReason::CallbackFailed);
        if let Some(late) = late {
            assert_eq!(late.complete(b"late").map_err(|error| error.kind()), Err(ErrorKind::Gone));
        }
        until("nothing is in flight", || running.stats().requests_in_flight == 0);
        // The server and the next connection are none the worse.
        let (next_client, _) = running.connect();
        next_client.send(b"good\n");
        next_client.expect(b"good\n");
    }
}

fn a_callback_that_defers_and_then_fails_has_failed(wiring: Wiring) {
    defers_and_then(wiring, false, || Err(Failed));
}

fn a_callback_that_defers_and_then_panics_has_failed(wiring: Wiring) {
    defers_and_then(wiring, false, || panic!("this panic is part of the test"));
}

fn a_callback_that_fails_after_its_promise_was_kept_has_failed(wiring: Wiring) {
    defers_and_then(wiring, true, || Err(Failed));
    defers_and_then(wiring, true, || panic!("this panic is part of the test"));
}

/// With workers alone: without them the loop sends nothing while the callback runs.
mod a_promise_kept_is_the_answer_until_its_callback_fails {
    use super::{Wiring, the_next_reply_leaves_and_then_the_callback_fails};

    #[test]
    fn pooled() {
        the_next_reply_leaves_and_then_the_callback_fails(Wiring::Pooled);
    }

    #[test]
    fn multi_with_workers() {
        the_next_reply_leaves_and_then_the_callback_fails(Wiring::MultiWithWorkers);
    }
}

fn the_next_reply_leaves_and_then_the_callback_fails(wiring: Wiring) {
    let gate = Tally::new();
    let opens = gate.clone();
    let service = Service::new(move |_, request, reply| {
        if request != b"fails" {
            return answer(reply, request);
        }
        let promise = reply.defer().map_err(|_| Failed)?;
        promise.skip().map_err(|_| Failed)?;
        // A callback that waits in vain fails too, and then the client misses its reply.
        let _ = opens.reaches(1);
        Err(Failed)
    });
    let mut options = wiring.framed(lines(true));
    options.set_order(Order::Parallel).set_workers(2).expect("in range");
    let running = service.start(wiring, &options);
    let (client, _) = running.connect();
    client.send(b"fails\nnext\n");
    client.expect(b"next\n");
    gate.add();
    client.expect_last(b"");
    client.finish();
    running.closed_with(CloseReason::CallbackFailed);
}

fn a_stripped_framing_frames_what_is_deferred(wiring: Wiring) {
    for (framing, request, expected) in [
        (lines(true), &b"ab\n"[..], &b"xyz: ab\n"[..]),
        (prefix(2, true), b"\0\x02ab", b"\0\x07xyz: ab"),
        (Framing::LengthPrefix { width: 4, big_endian: false, strip: true }, b"\x02\0\0\0ab", b"\x07\0\0\0xyz: ab"),
    ] {
        let (give, promises) = channel();
        let service = Service::new(move |_, request, reply| {
            answer(reply, b"xyz")?;
            let _ = give.send((request.to_vec(), reply.defer().map_err(|_| Failed)?));
            Ok(())
        });
        let running = service.start(wiring, &wiring.framed(framing));
        let (client, _) = running.connect();
        client.send(request);
        let (seen, promise) = next(&promises);
        assert_eq!(seen, b"ab");
        promise.complete(b": ab").expect("the connection is there");
        client.expect(expected);
    }
}

fn an_empty_promise_is_an_empty_frame_where_the_framing_strips(wiring: Wiring) {
    let (service, promises) = deferring();
    let running = service.start(wiring, &wiring.framed(prefix(2, true)));
    let (client, _) = running.connect();
    client.send(b"\0\x01a\0\x01b");
    next(&promises).1.complete(b"").expect("the connection is there");
    next(&promises).1.complete(b"b").expect("the connection is there");
    client.expect(b"\0\0\0\x01b");
}

fn the_memory_of_a_deferred_request_counts_until_it_is_answered(wiring: Wiring) {
    const LEN: usize = 100_000;
    let (service, promises) = deferring();
    let running = service.start(wiring, &wiring.framed(Framing::Fixed(LEN)));
    let (client, _) = running.connect();
    client.send(&vec![b'x'; LEN]);
    let (_, promise) = next(&promises);
    until("the request counts", || running.stats().memory_bytes >= LEN as u64);
    running.turn_over();
    assert!(running.stats().memory_bytes >= LEN as u64, "it counts until it is answered");
    assert_eq!(running.stats().requests_in_flight, 1);
    promise.complete(b"y").expect("the connection is there");
    client.expect(b"y");
    until("nothing counts any more", || running.stats().memory_bytes == 0);
    until("nothing is in flight", || running.stats().requests_in_flight == 0);
}

fn a_fin_leaves_time_for_the_promise(wiring: Wiring) {
    let (service, promises) = deferring();
    let running = service.start(wiring, &wiring.framed(lines(true)));
    let (client, _) = running.connect();
    client.send(b"1\n2\n");
    client.finish();
    let (_, first) = next(&promises);
    running.turn_over();
    first.complete(b"one").expect("the connection is there");
    client.expect(b"one\n");
    next(&promises).1.complete(b"two").expect("the connection is there");
    client.expect_last(b"two\n");
    running.closed_with(CloseReason::Peer);
}
