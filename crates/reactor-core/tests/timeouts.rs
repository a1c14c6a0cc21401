//! Owns the promises of time: the frame, write and idle timeouts, what starts and stops each, and the reason they close
//! with. None is ever early; how late one may be is bounded widely here, as the machine may be busy. Knows the public API alone.

#[expect(dead_code, unused_imports, reason = "each suite uses its part")]
mod harness;

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use harness::{
    Client, Closed, Events, Wiring, connections, count, echo, in_each_mode, lines, pattern, prefix, serve, until,
};
use reactor_core::{CloseReason, Deferred, Failed, Framing, Server};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

in_each_mode!(
    a_partial_frame_ends_its_connection_at_the_frame_timeout,
    a_dripped_byte_does_not_extend_the_frame_timeout,
    the_frame_timeout_starts_anew_with_each_frame,
    the_frame_timeout_stands_still_while_output_holds_reading,
    the_frame_timeout_stands_still_while_a_deferred_reply_holds_reading,
    a_peer_that_takes_nothing_is_closed_at_the_write_timeout,
    a_peer_that_takes_a_little_now_and_then_is_not_closed,
    a_quiet_connection_is_closed_at_the_idle_timeout,
    activity_puts_the_idle_timeout_off,
    a_push_puts_the_idle_timeout_off,
    a_deferred_reply_in_flight_keeps_a_quiet_connection,
    without_timeouts_nothing_is_closed,
    thousands_of_idle_connections_all_close_and_none_early,
);

/// The loop's time is that of its last waking, in whole milliseconds: a deadline may seem so much early.
fn tolerance(server: &Server) -> Duration {
    Duration::from_millis(50) + Duration::from_micros(server.stats(None).expect("all of them").loop_busy_us_max)
}

/// On a machine that does much else.
const LATE: Duration = Duration::from_secs(5);

#[track_caller]
fn expect_in_time(server: &Server, took: Duration, timeout: Duration) {
    assert!(took + tolerance(server) >= timeout, "closed after {took:?}, and the timeout is {timeout:?}");
    assert!(took <= timeout + LATE, "closed only after {took:?}, and the timeout is {timeout:?}");
}

const SHORT: Duration = Duration::from_millis(300);

fn ms(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).expect("a test's timeout is short")
}

/// A server whose quiet connections show that time passes: some `SHORT` go by in [`Clock::tick`].
struct Clock {
    server: Server,
    events: Events,
}

impl Clock {
    fn new() -> Clock {
        let (server, events) = serve(
            Wiring::Single,
            |options| {
                options.set_idle_timeout_ms(ms(SHORT));
            },
            echo,
        );
        Clock { server, events }
    }

    fn tick(&self, times: usize) {
        for _ in 0..times {
            let _client = Client::connect(&self.server);
            assert_eq!(self.events.closed().reason, CloseReason::IdleTimeout);
        }
    }
}

// ---- Frames ------------------------------------------------------------------------------------------------------

fn framed(wiring: Wiring, timeout: Duration) -> (Server, Events) {
    serve(
        wiring,
        |options| {
            options.set_framing(prefix(4, false)).expect("in range").set_frame_timeout_ms(ms(timeout));
        },
        echo,
    )
}

fn a_partial_frame_ends_its_connection_at_the_frame_timeout(wiring: Wiring) {
    let (server, events) = framed(wiring, SHORT);
    // In the header, in a small payload, in one that is more than a loop puts aside.
    for frame in [count(b"request"), count(&pattern(1, 20 * KIB))] {
        for len in [1, frame.len() - 1] {
            let client = Client::connect(&server);
            let conn = events.opened();
            let begun = Instant::now();
            client.send(&frame[..len]);
            let closed = events.closed();
            assert_eq!((closed.conn, closed.reason, closed.os_error), (conn, CloseReason::FrameTimeout, 0));
            expect_in_time(&server, begun.elapsed(), SHORT);
        }
    }
    assert_eq!(server.stats(None).expect("all of them").connections_timed_out, 4);
}

fn a_dripped_byte_does_not_extend_the_frame_timeout(wiring: Wiring) {
    let (server, events) = framed(wiring, SHORT);
    let client = Client::connect(&server);
    events.opened();
    let frame = count(&pattern(1, 100 * KIB));
    let begun = Instant::now();
    let mut drops = frame.chunks(1);
    let closed = loop {
        client.send(drops.next().expect("the timeout comes before the frame's end"));
        if let Some(closed) = events.closed_within(Duration::from_millis(20)) {
            break closed;
        }
    };
    assert_eq!(closed.reason, CloseReason::FrameTimeout);
    expect_in_time(&server, begun.elapsed(), SHORT);
}

fn the_frame_timeout_starts_anew_with_each_frame(wiring: Wiring) {
    let timeout = Duration::from_millis(1_000);
    let (server, events) = framed(wiring, timeout);
    let client = Client::connect(&server);
    events.opened();
    let frame = count(b"a request in two parts");
    let (front, back) = frame.split_at(9);
    let began = Instant::now();
    let mut frame_began = began;
    client.send(front);
    while began.elapsed() < 3 * timeout {
        if let Some(closed) = events.closed_within(Duration::from_millis(200)) {
            assert_eq!(closed.reason, CloseReason::FrameTimeout);
            // Only where this test itself was held up for so long.
            assert!(frame_began.elapsed() >= timeout, "closed {:?} after a frame began", frame_began.elapsed());
            return;
        }
        let next_began = Instant::now();
        client.send(&[back, front].concat());
        assert_eq!(client.receive(frame.len()), frame);
        frame_began = next_began;
    }
    client.send(back);
    assert_eq!(client.receive(frame.len()), frame);
}

fn the_frame_timeout_stands_still_while_output_holds_reading(wiring: Wiring) {
    const REPLY: usize = 64 * KIB;
    const COUNT: usize = 200;
    let clock = Clock::new();
    let (server, events) = serve(
        wiring,
        |options| {
            options
                .set_framing(lines(false))
                .expect("in range")
                .set_frame_timeout_ms(ms(SHORT))
                .set_write_timeout_ms(0);
        },
        |request, reply, _| reply.write(&pattern(request.len(), REPLY)).map_err(|_| Failed),
    );
    let client = Client::connect_narrow(&server);
    client.send(&[b"ask\n".repeat(COUNT), b"half a fra".to_vec()].concat());
    until("reading pauses", || server.stats(None).expect("all of them").reads_paused > 0);
    clock.tick(3);
    assert!(events.closed_within(Duration::ZERO).is_none(), "closed while its reading was paused");
    for _ in 0..COUNT {
        assert!(client.receive(REPLY) == pattern(4, REPLY), "a reply is not as it was sent");
    }
    // It runs again from here on.
    let closed = events.closed();
    assert_eq!(closed.reason, CloseReason::FrameTimeout);
}

fn the_frame_timeout_stands_still_while_a_deferred_reply_holds_reading(wiring: Wiring) {
    let clock = Clock::new();
    let (promises, open) = channel::<Deferred>();
    let (server, events) = serve(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range").set_frame_timeout_ms(ms(SHORT));
            options.set_max_in_flight(1).expect("in range");
        },
        move |request, reply, server| {
            if request == b"later\n" {
                return promises.send(reply.defer().map_err(|_| Failed)?).map_err(|_| Failed);
            }
            echo(request, reply, server)
        },
    );
    let client = Client::connect(&server);
    events.opened();
    client.send(b"later\nhalf a ");
    let deferred = open.recv_timeout(harness::WAIT).expect("the request begins");
    clock.tick(3);
    assert!(events.closed_within(Duration::ZERO).is_none(), "closed while its reading was paused");
    client.send(b"frame\n");
    deferred.complete(b"now\n").expect("the connection is open");
    assert_eq!(client.receive(17), b"now\nhalf a frame\n");
}

// ---- Writing -----------------------------------------------------------------------------------------------------

const ANSWER: usize = 24 * MIB;

fn verbose(wiring: Wiring, timeout: Duration) -> (Server, Events) {
    serve(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range").set_output_limit_bytes(ANSWER).expect("in range");
            options.set_write_timeout_ms(ms(timeout)).set_frame_timeout_ms(0);
        },
        |_, reply, _| reply.write(&vec![b'v'; ANSWER]).map_err(|_| Failed),
    )
}

fn a_peer_that_takes_nothing_is_closed_at_the_write_timeout(wiring: Wiring) {
    let (server, events) = verbose(wiring, SHORT);
    let client = Client::connect_narrow(&server);
    events.opened();
    let begun = Instant::now();
    client.send(b"ask\n");
    let mut progress = (0, begun);
    let closed = loop {
        if let Some(closed) = events.closed_within(Duration::from_millis(1)) {
            break closed;
        }
        let sent = server.stats(None).expect("all of them").bytes_out;
        if sent != progress.0 {
            progress = (sent, Instant::now());
        }
        assert!(begun.elapsed() < harness::WAIT, "it is never closed");
    };
    assert_eq!((closed.reason, closed.os_error), (CloseReason::WriteTimeout, 0));
    // The system took the last byte shortly before it was seen here.
    let took = progress.1.elapsed();
    assert!(begun.elapsed() + tolerance(&server) >= SHORT, "closed after {:?}", begun.elapsed());
    assert!(took <= SHORT + LATE, "closed only {took:?} after the last byte was taken");
    assert_eq!(server.stats(None).expect("all of them").connections_timed_out, 1);
}

fn a_peer_that_takes_a_little_now_and_then_is_not_closed(wiring: Wiring) {
    let timeout = Duration::from_millis(1_000);
    let (server, events) = verbose(wiring, timeout);
    let client = Client::connect_narrow(&server);
    events.opened();
    client.send(b"ask\n");
    let began = Instant::now();
    let (mut taken, mut longest, mut last) = (0, Duration::ZERO, began);
    while taken < ANSWER {
        let part = (MIB / 2).min(ANSWER - taken);
        assert!(client.receive(part).iter().all(|byte| *byte == b'v'));
        taken += part;
        longest = longest.max(last.elapsed());
        last = Instant::now();
        let pace = if began.elapsed() < 3 * timeout { Duration::from_millis(100) } else { Duration::ZERO };
        if let Some(closed) = events.closed_within(pace) {
            assert_eq!(closed.reason, CloseReason::WriteTimeout);
            // Only where this test itself was held up for so long.
            assert!(longest * 2 >= timeout, "closed, though bytes were taken every {longest:?}");
            return;
        }
    }
    assert!(began.elapsed() >= 3 * timeout, "there was too little to send to show anything");
}

// ---- Quiet -------------------------------------------------------------------------------------------------------

fn quiet(wiring: Wiring, timeout: Duration) -> (Server, Events) {
    serve(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range").set_idle_timeout_ms(ms(timeout));
        },
        echo,
    )
}

fn a_quiet_connection_is_closed_at_the_idle_timeout(wiring: Wiring) {
    let (server, events) = quiet(wiring, SHORT);
    let begun = Instant::now();
    let silent = Client::connect(&server);
    let closed = events.closed();
    assert_eq!((closed.reason, closed.os_error), (CloseReason::IdleTimeout, 0));
    expect_in_time(&server, begun.elapsed(), SHORT);
    assert_eq!(silent.receive_to_end().expect("a FIN"), b"");

    let client = Client::connect(&server);
    // Before the ping: the loop may have written the answer some time before we have read it.
    let quiet_since = Instant::now();
    client.ping(b"once\n");
    assert_eq!(events.closed().reason, CloseReason::IdleTimeout);
    expect_in_time(&server, quiet_since.elapsed(), SHORT);
    assert_eq!(server.stats(None).expect("all of them").connections_timed_out, 2);
}

fn activity_puts_the_idle_timeout_off(wiring: Wiring) {
    let timeout = Duration::from_millis(1_000);
    let (server, events) = quiet(wiring, timeout);
    let client = Client::connect(&server);
    events.opened();
    keep_busy(&events, timeout, || client.ping(b"still here\n"));
}

fn a_push_puts_the_idle_timeout_off(wiring: Wiring) {
    let timeout = Duration::from_millis(1_000);
    let (server, events) = quiet(wiring, timeout);
    let client = Client::connect(&server);
    let conn = events.opened();
    keep_busy(&events, timeout, || {
        server.send(conn, b"push").expect("it is open");
        assert_eq!(client.receive(4), b"push");
    });
}

#[track_caller]
fn keep_busy(events: &Events, timeout: Duration, act: impl Fn()) {
    let began = Instant::now();
    let mut last = began;
    while began.elapsed() < 3 * timeout {
        if let Some(closed) = events.closed_within(Duration::from_millis(200)) {
            assert_eq!(closed.reason, CloseReason::IdleTimeout);
            // Only where this test itself was held up for so long.
            assert!(last.elapsed() >= timeout, "closed {:?} after it was active", last.elapsed());
            return;
        }
        let now = Instant::now();
        act();
        last = now;
    }
}

fn a_deferred_reply_in_flight_keeps_a_quiet_connection(wiring: Wiring) {
    let clock = Clock::new();
    let (promises, open) = channel::<Deferred>();
    let (server, events) = serve(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range").set_idle_timeout_ms(ms(SHORT));
        },
        move |_, reply, _| promises.send(reply.defer().map_err(|_| Failed)?).map_err(|_| Failed),
    );
    let client = Client::connect(&server);
    events.opened();
    client.send(b"later\n");
    let deferred = open.recv_timeout(harness::WAIT).expect("the request begins");
    clock.tick(3);
    assert!(events.closed_within(Duration::ZERO).is_none(), "closed with a reply in flight");
    let answered = Instant::now();
    deferred.complete(b"now\n").expect("the connection is open");
    assert_eq!(client.receive(4), b"now\n");
    assert_eq!(events.closed().reason, CloseReason::IdleTimeout);
    expect_in_time(&server, answered.elapsed(), SHORT);
}

fn without_timeouts_nothing_is_closed(wiring: Wiring) {
    let clock = Clock::new();
    let (server, events) = serve(
        wiring,
        |options| {
            options.set_framing(Framing::Fixed(4)).expect("in range").set_output_limit_bytes(ANSWER).expect("in range");
            options.set_frame_timeout_ms(0).set_write_timeout_ms(0).set_idle_timeout_ms(0);
        },
        |request, reply, server| {
            if request == b"much" {
                reply.write(&vec![b'm'; ANSWER]).map_err(|_| Failed)
            } else {
                echo(request, reply, server)
            }
        },
    );
    let (partial, silent, deaf) = (Client::connect(&server), Client::connect(&server), Client::connect_narrow(&server));
    partial.send(b"pi");
    deaf.send(b"much");
    until("the big reply is made", || server.stats(None).expect("all of them").replies == 1);
    clock.tick(3);
    assert!(events.closed_within(Duration::ZERO).is_none(), "closed, though there is no timeout");
    partial.send(b"ng");
    assert_eq!(partial.receive(4), b"ping");
    silent.ping(b"ping");
    assert!(deaf.receive(ANSWER).iter().all(|byte| *byte == b'm'));
}

/// Each takes two descriptors, and they are thousands: one test at a time.
static CROWD: Mutex<()> = Mutex::new(());

fn thousands_of_idle_connections_all_close_and_none_early(wiring: Wiring) {
    let timeout = Duration::from_millis(500);
    let _one = CROWD.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let count = connections(3_000);
    let (server, events) = quiet(wiring, timeout);
    let clients: Vec<Client> = (0..count).map(|_| Client::connect(&server)).collect();
    let closed: Vec<Closed> = clients.iter().map(|_| events.closed()).collect();
    let tolerance = tolerance(&server);
    for closed in &closed {
        assert_eq!(closed.reason, CloseReason::IdleTimeout);
        assert!(closed.age + tolerance >= timeout, "closed after {:?}", closed.age);
        assert!(closed.age <= timeout + LATE, "closed only after {:?}", closed.age);
    }
    assert_eq!(server.stats(None).expect("all of them").connections_timed_out, count as u64);
    for client in &clients {
        assert_eq!(client.receive_to_end().expect("a FIN"), b"");
    }
}
