//! Owns the promises of the memory of all connections together: that it is bounded, who may read while it is short, and
//! that nobody waits for ever. Knows the public API alone.

#[expect(dead_code, unused_imports, reason = "each suite uses its part")]
mod harness;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use harness::{
    Client, Events, Gate, Wiring, count, echo, in_each_mode, lines, pattern, prefix, serve, serve_gated, until,
};
use reactor_core::{
    CloseReason, ConnId, Deferred, ErrorKind, Failed, Framing, Handle, Handler, Mode, Options, Order, Peer, Reply,
    Server,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

in_each_mode!(
    three_hundred_connections_that_hold_most_of_a_frame_are_all_answered,
    memory_is_bounded_while_three_hundred_hold_most_of_a_frame,
    a_connection_that_stops_short_of_its_frame_holds_up_nobody_for_ever,
    requests_are_answered_beside_subscribers_that_never_read,
    whole_frames_are_answered_beside_others_that_hold_all_memory,
    pushes_past_memory_limit_are_refused_and_taken_again_at_seven_eighths,
    memory_is_given_back_whatever_held_it,
    start_refuses_a_memory_limit_in_which_a_frame_might_not_fit,
    one_that_was_let_in_and_left_a_partial_frame_behind_keeps_nobody_waiting,
    memory_does_not_grow_by_each_that_is_let_in_while_another_stalls,
    memory_does_not_grow_by_each_that_the_handler_has_no_room_for,
    who_waits_longest_comes_first_beside_one_that_stalls,
    a_reset_of_one_that_waits_for_memory_is_noticed,
    one_that_is_never_answered_does_not_keep_the_others_from_reading,
    one_that_waited_for_memory_is_read_to_its_end_before_it_is_closed,
    large_replies_that_nobody_takes_stay_within_memory_limit,
);

const FRAME: usize = 64 * KIB;
const HOLDERS: usize = 300;
const ROOM_FOR: usize = 100;

/// The reply says by what the frame began, which is its number, and how long it was.
fn number_and_len(request: &[u8], reply: &mut Reply<'_, Instant>, _server: &Handle) -> Result<(), Failed> {
    reply.write(&request[4..12]).map_err(|_| Failed)?;
    reply.write(&(request.len() as u64).to_be_bytes()).map_err(|_| Failed)
}

/// A server with memory for 100 whole frames.
fn cramped(wiring: Wiring) -> (Server, Events) {
    serve(
        wiring,
        |options| {
            options.set_framing(prefix(4, false)).expect("in range").set_max_frame_bytes(FRAME).expect("in range");
            options.set_memory_limit_bytes(ROOM_FOR * FRAME).expect("in range");
        },
        number_and_len,
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
        !harness::comes_within(Duration::from_millis(100), || {
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
            options.set_framing(prefix(4, false)).expect("in range").set_max_frame_bytes(FRAME).expect("in range");
            options.set_memory_limit_bytes(4 * FRAME).expect("in range").set_frame_timeout_ms(300);
        },
        number_and_len,
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
            options.set_framing(lines(false)).expect("in range").set_max_frame_bytes(FRAME).expect("in range");
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
            options.set_framing(prefix(4, false)).expect("in range").set_max_frame_bytes(FRAME).expect("in range");
            options.set_memory_limit_bytes(8 * FRAME).expect("in range").set_frame_timeout_ms(0);
        },
        number_and_len,
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
    assert!(opened.elapsed() < harness::WAIT, "the last had its turn after {:?}", opened.elapsed());
    drop((holders, blockers));
}

fn pushes_past_memory_limit_are_refused_and_taken_again_at_seven_eighths(wiring: Wiring) {
    const LIMIT: usize = MIB;
    const PART: usize = 16 * KIB;
    let (server, events) = serve(
        wiring,
        |options| {
            options.set_framing(prefix(4, false)).expect("in range").set_max_frame_bytes(FRAME).expect("in range");
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
            options.set_framing(lines(false)).expect("in range").set_order(Order::Parallel);
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
    impl Handler for Never {
        type Data = ();
        fn open(&self, _: ConnId, _: Peer) -> Option<()> {
            None
        }
        fn process(&self, _: &[u8], _: &mut Reply<'_, ()>) -> Result<(), Failed> {
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
            options.set_framing(prefix(4, false)).expect("in range").set_max_frame_bytes(FRAME).expect("in range");
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
        harness::comes_within(Duration::from_millis(10), || memory(&server) > before);
    }
    until_reading_rests(&server);
    // Of each loop two, one that had its turn and one that came while it stalled, and a third of it for the allocator.
    let limit = ROOM + ROOM / 64 + wiring.reactors() * 2 * (REPLY + FRAME) / 3 * 4;
    let held = memory(&server);
    assert!(held <= limit, "{held} bytes are held; memory_limit and what the loops may let in are {limit}");
    drop(unread);
    holders.iter().for_each(|holder| assert_eq!(holder.receive(5), b"short"));
}

/// Has no room as long as it says.
struct Full(Arc<AtomicBool>);

impl Handler for Full {
    type Data = ();

    fn open(&self, _conn: ConnId, _peer: Peer) -> Option<()> {
        Some(())
    }

    fn has_room(&self, (): &()) -> bool {
        !self.0.load(Ordering::SeqCst)
    }

    fn process(&self, _request: &[u8], reply: &mut Reply<'_, ()>) -> Result<(), Failed> {
        reply.write(b"ok").map_err(|_| Failed)
    }
}

/// A frame that was refused is neither in flight nor answered: it counted as served, and the next was let in.
fn memory_does_not_grow_by_each_that_the_handler_has_no_room_for(wiring: Wiring) {
    const ROOM: usize = 16 * FRAME;
    let full = Arc::new(AtomicBool::new(true));
    let mut options = wiring.options();
    options.set_framing(prefix(4, false)).expect("in range").set_max_frame_bytes(FRAME).expect("in range");
    options.set_memory_limit_bytes(ROOM).expect("in range");
    let handler = Full(Arc::clone(&full));
    let server = Server::start("127.0.0.1:0", wiring.mode(), &options, handler).expect("the server starts");
    let clients: Vec<Client> = (0..100).map(|_| Client::connect(&server)).collect();
    clients.iter().enumerate().for_each(|(number, client)| client.send(&whole_frame(number)));
    until("memory runs short", || memory(&server) >= ROOM / 8 * 7);
    until_reading_rests(&server);
    // Of each loop one that had its turn and one that came while it stalled, a third for the allocator, and the reserve,
    // for nobody knows whether they are ever answered.
    let limit = ROOM + ROOM / 4 + wiring.reactors() * 3 * FRAME / 3 * 4;
    let held = memory(&server);
    full.store(false, Ordering::SeqCst);
    server.resume();
    clients.iter().for_each(|client| assert_eq!(client.receive(2), b"ok"));
    assert!(held <= limit, "{held} bytes are held; memory_limit and what the loops may let in are {limit}");
}

/// A server whose memory partial frames hold, and where the one whose turn it is stalls.
struct Stalled {
    server: Server,
    events: Events,
    gate: Arc<Gate>,
    holders: Vec<Client>,
    /// Of requests that begin with "d"; others are answered with "ok".
    promised: Receiver<Deferred>,
    /// How the others began, in the order in which they did.
    asked: Receiver<u8>,
}

fn stalled(wiring: Wiring) -> Stalled {
    const ROOM: usize = 32 * FRAME;
    let (promises, promised) = channel();
    let (asks, asked) = channel();
    let (server, events, gate) = serve_gated(
        wiring,
        |options| {
            options.set_framing(prefix(4, false)).expect("in range").set_max_frame_bytes(4 * FRAME).expect("in range");
            options.set_memory_limit_bytes(ROOM).expect("in range").set_frame_timeout_ms(0);
        },
        move |request, reply, _| {
            if request[4] == b'd' {
                return promises.send(reply.defer().map_err(|_| Failed)?).map_err(|_| Failed);
            }
            // Not every test wants to know.
            let _ = asks.send(request[4]);
            reply.write(b"ok").map_err(|_| Failed)
        },
    );
    let holders = holders(&server, 60);
    until("all are open", || server.stats(None).expect("all of them").connections_open == 60);
    until("memory runs short", || memory(&server) >= ROOM / 8 * 7);
    until_reading_rests(&server);
    events.so_far();
    Stalled { server, events, gate, holders, promised, asked }
}

/// The newest came first, and those that came before it hardly ever.
fn who_waits_longest_comes_first_beside_one_that_stalls(wiring: Wiring) {
    const COUNT: u8 = 16;
    let Stalled { server, events, gate, holders, asked, .. } = stalled(wiring);
    let clients: Vec<Client> = (0..COUNT).map(|_| Client::connect(&server)).collect();
    for _ in &clients {
        events.opened();
    }
    // All that they ask is found at once, in the order in which it came.
    let blockers = gate.shut(wiring, &server, &events);
    (0..).zip(&clients).for_each(|(number, client)| client.send(&count(&[number])));
    gate.open();
    clients.iter().for_each(|client| assert_eq!(client.receive(2), b"ok"));
    // Two loops, and workers, are not of one mind about the rest.
    let first = asked.recv().expect("they were asked");
    assert!(first < COUNT / 2, "the first to be answered was number {first}");
    drop((holders, blockers));
}

/// Nothing was read of it, so nobody saw the error; and what it held stayed.
fn a_reset_of_one_that_waits_for_memory_is_noticed(wiring: Wiring) {
    let Stalled { server, events, holders, promised, .. } = stalled(wiring);
    // One that is not answered keeps all others waiting, for a while.
    let asking = Client::connect(&server);
    asking.send(&count(b"d"));
    let promise = promised.recv_timeout(harness::WAIT).expect("it comes while the others stall");
    let count = holders.len();
    // All but the last byte of a frame is there, of those that were read and of those that wait.
    holders.into_iter().for_each(Client::reset);
    for _ in 0..count {
        assert_eq!(events.closed().reason, CloseReason::Reset);
    }
    promise.complete(b"ok").expect("it is open");
    assert_eq!(asking.receive(2), b"ok");
    until("all memory is given back", || memory(&server) == 0);
}

/// What is never answered never leaves: the loop read nobody any more.
fn one_that_is_never_answered_does_not_keep_the_others_from_reading(wiring: Wiring) {
    let Stalled { server, holders, promised, .. } = stalled(wiring);
    let never: Vec<Client> = (0..wiring.reactors()).map(|_| Client::connect(&server)).collect();
    never.iter().for_each(|client| client.send(&count(b"d")));
    let promises: Vec<Deferred> =
        never.iter().map(|_| promised.recv_timeout(harness::WAIT).expect("they come one by one")).collect();
    for _ in 0..4 {
        let other = Client::connect(&server);
        other.send(&count(b"ask"));
        assert_eq!(other.receive(2), b"ok");
    }
    drop((promises, never, holders));
}

/// It was read once and then forgotten, and after two seconds a reset took what had been sent to it.
fn one_that_waited_for_memory_is_read_to_its_end_before_it_is_closed(wiring: Wiring) {
    const SENT: usize = 150 * KIB;
    let Stalled { server, events, holders, .. } = stalled(wiring);
    let client = Client::connect(&server);
    let conn = events.opened();
    let before = server.stats(None).expect("all of them").bytes_in;
    client.send(&count(&pattern(1, 200 * KIB))[..SENT]);
    until_reading_rests(&server);
    server.close(conn).expect("it is open");
    until("all of it is read", || server.stats(None).expect("all of them").bytes_in >= before + SENT as u64);
    client.finish();
    client.receive_to_end().expect("a FIN, and no reset");
    drop(holders);
}

/// All small requests were begun whatever the memory said, and each worker's reply joined those that nobody took.
fn large_replies_that_nobody_takes_stay_within_memory_limit(wiring: Wiring) {
    const ROOM: usize = 8 * MIB;
    const REPLY: usize = 512 * KIB;
    const COUNT: usize = 100;
    let (server, _events) = serve(
        wiring,
        |options| {
            options.set_framing(lines(false)).expect("in range").set_memory_limit_bytes(ROOM).expect("in range");
        },
        |_, reply, _| reply.write(&pattern(1, REPLY)).map_err(|_| Failed),
    );
    let clients: Vec<Client> = (0..COUNT).map(|_| Client::connect_narrow(&server)).collect();
    clients.iter().for_each(|client| client.send(b"ask\n"));
    until("memory runs short", || memory(&server) >= ROOM / 8 * 7);
    let mut most = 0;
    harness::comes_within(Duration::from_millis(1_500), || {
        most = most.max(memory(&server));
        false
    });
    // What was let in last, on each thread one, and a third of it for the allocator; and the reserve.
    let limit = ROOM + ROOM / 4 + (wiring.reactors() + wiring.lanes()) * 2 * REPLY / 3 * 4;
    assert!(most <= limit, "{most} bytes were held; memory_limit and what all threads may add are {limit}");
    thread::scope(|scope| {
        for client in &clients {
            scope.spawn(|| assert!(client.receive(REPLY) == pattern(1, REPLY), "the reply is not as it was written"));
        }
    });
    until("all memory is given back", || memory(&server) == 0);
}
