//! Properties of the state machine of a connection: whatever peer, handler, workers and socket do and in what order, it
//! does what the model says. And reproductions of what was found by reading.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::config::LINGER_MS;
use crate::connection::{Answer, Begun, Connection, Host, Rules, Status};
use crate::connection_driver::Driver;
use crate::framing_properties::{framings, max_for, pieces, stream};
use crate::handler::{CloseReason, FrameEnd};
use crate::options::{Framing, Mode, Options, Order};
use crate::ordering::Ending;

/// Answers the first request later, and the others at once as `begun` says.
struct FirstLater {
    begun: Begun,
    requests: u64,
}

impl Host for FirstLater {
    fn frame_end(&mut self, _bytes: &[u8], _seen: usize) -> FrameEnd {
        FrameEnd::Refused
    }

    fn request(&mut self, number: u64, _payload: &[u8], _output: &mut Vec<u8>) -> Begun {
        self.requests += 1;
        if number == 0 { Begun::Pending } else { self.begun }
    }
}

fn parallel(max_in_flight: u32) -> Rules {
    let mut options = Options::new();
    options.set_order(Order::Parallel);
    options.set_framing(Framing::Delimiter { delimiter: b"\n".to_vec(), strip: false }).expect("valid");
    options.set_max_in_flight(max_in_flight).expect("valid");
    Rules::new(options.check(Mode::Single).expect("valid"))
}

fn answer(first: u64, bytes: &[u8], ending: Ending) -> Answer {
    Answer { first, count: 1, request_bytes: 2, bytes: bytes.to_vec(), ending }
}

#[test]
fn replies_that_wait_for_their_turn_are_at_most_max_in_flight() {
    let rules = parallel(4);
    let mut host = FirstLater { begun: Begun::Answered(Ending::Continue), requests: 0 };
    let mut conn = Connection::new(0);
    for _ in 0..1_000 {
        if conn.wants_read(&rules) {
            conn.input(&rules, 0, b"a\n", &mut host);
        }
    }
    assert!(host.requests <= 4, "{} requests were admitted while the first was not answered", host.requests);
}

#[test]
fn a_second_answer_to_one_request_does_not_answer_another() {
    let rules = parallel(4);
    let mut host = FirstLater { begun: Begun::Pending, requests: 0 };
    let mut conn = Connection::new(0);
    conn.input(&rules, 0, b"a\nb\n", &mut host);
    // Request 1 is deferred and its promise dropped, as when its callback fails or panics after it has deferred.
    conn.reply(&rules, 0, answer(1, b"", Ending::Failed));
    conn.reply(&rules, 0, answer(1, b"", Ending::Failed));
    assert_eq!(conn.status(), Status::Open, "request 0 is still to be answered");
    conn.reply(&rules, 0, answer(0, b"first", Ending::Continue));
    assert_eq!(conn.single_output(), Some(b"first".as_slice()));
    conn.wrote(&rules, 0, 5);
    assert_eq!(conn.status(), Status::Finished { linger: true });
    assert_eq!(conn.reason(), (CloseReason::CallbackFailed, 0));
}

/// Answers each request later.
struct Later;

impl Host for Later {
    fn frame_end(&mut self, _bytes: &[u8], _seen: usize) -> FrameEnd {
        FrameEnd::Refused
    }

    fn request(&mut self, _number: u64, _payload: &[u8], _output: &mut Vec<u8>) -> Begun {
        Begun::Pending
    }
}

#[test]
fn a_callback_that_fails_after_its_promise_was_kept_closes_the_connection_also_when_nothing_else_is_in_flight() {
    let rules = parallel(4);
    let mut conn = Connection::new(0);
    conn.input(&rules, 0, b"a\n", &mut Later);
    // Another thread keeps the promise at once; the callback that made it fails after that. The worker's run begins
    // nothing any more, so a connection that went on would hand its requests to nobody.
    conn.reply(&rules, 0, answer(0, b"kept", Ending::Continue));
    conn.reply(&rules, 0, answer(0, b"", Ending::Failed));
    assert_eq!(conn.single_output(), Some(b"kept".as_slice()));
    conn.wrote(&rules, 0, 4);
    assert_eq!(conn.status(), Status::Finished { linger: true });
    assert_eq!(conn.reason(), (CloseReason::CallbackFailed, 0));
}

#[test]
fn a_promise_kept_with_no_reply_lets_the_next_reply_leave_until_its_callback_fails() {
    let rules = parallel(4);
    let mut conn = Connection::new(0);
    conn.input(&rules, 0, b"a\nb\nc\n", &mut Later);
    conn.reply(&rules, 0, answer(1, b"second", Ending::Continue));
    assert!(!conn.wants_write(), "the first is not answered");
    conn.reply(&rules, 0, answer(0, b"", Ending::Continue));
    assert_eq!(conn.single_output(), Some(b"second".as_slice()), "the first is answered with nothing");
    conn.reply(&rules, 0, answer(0, b"", Ending::Failed));
    conn.reply(&rules, 0, answer(2, b"third", Ending::Continue));
    assert_eq!(conn.single_output(), Some(b"second".as_slice()), "none leaves once the failure is known");
    assert_eq!(conn.reason(), (CloseReason::CallbackFailed, 0));
}

fn serial_with_timeouts(frame_ms: u32, idle_ms: u32) -> Rules {
    let mut options = Options::new();
    options.set_framing(Framing::Delimiter { delimiter: b"\n".to_vec(), strip: false }).expect("valid");
    options.set_frame_timeout_ms(frame_ms).set_idle_timeout_ms(idle_ms);
    Rules::new(options.check(Mode::Single).expect("valid"))
}

#[test]
fn a_frame_that_begins_in_the_turn_that_ends_a_pause_has_its_own_time_only() {
    let rules = serial_with_timeouts(1_000, 0);
    let mut conn = Connection::new(0);
    conn.input(&rules, 0, b"a\n", &mut Later);
    conn.pause(&rules, 0, false);
    assert!(conn.is_paused(), "SERIAL waits for the reply");
    conn.reply(&rules, 500, answer(0, b"", Ending::Continue));
    conn.input(&rules, 500, b"b", &mut Later);
    conn.pause(&rules, 500, false);
    assert_eq!(conn.deadline_ms(&rules), Some(1_500));
}

/// Has no room at first.
struct Full(bool);

impl Host for Full {
    fn frame_end(&mut self, _bytes: &[u8], _seen: usize) -> FrameEnd {
        FrameEnd::Refused
    }

    fn has_room(&mut self) -> bool {
        !self.0
    }

    fn request(&mut self, _number: u64, _payload: &[u8], _output: &mut Vec<u8>) -> Begun {
        Begun::Answered(Ending::Continue)
    }
}

#[test]
fn a_frame_that_begins_behind_one_for_which_there_was_no_room_has_its_own_time() {
    let rules = serial_with_timeouts(1_000, 0);
    let mut conn = Connection::new(0);
    conn.input(&rules, 0, b"a", &mut Full(true));
    assert_eq!(conn.deadline_ms(&rules), Some(1_000));
    conn.input(&rules, 500, b"\nb", &mut Full(true));
    conn.resume();
    conn.advance(&rules, 500, &mut Full(false));
    assert_eq!(conn.deadline_ms(&rules), Some(1_500), "the second frame began at 500 ms");
}

#[test]
fn idleness_counts_from_the_last_activity_also_when_that_was_in_a_pause() {
    let rules = serial_with_timeouts(0, 1_000);
    let mut conn = Connection::new(0);
    conn.input(&rules, 0, b"a\n", &mut Later);
    conn.pause(&rules, 0, false);
    conn.reply(&rules, 500, answer(0, b"", Ending::Continue));
    conn.pause(&rules, 500, false);
    assert_eq!(conn.deadline_ms(&rules), Some(1_500));
}

fn pooled(order: Order) -> Rules {
    let mut options = Options::new();
    options.set_order(order).set_workers(2).expect("valid");
    options.set_framing(Framing::Delimiter { delimiter: b"\n".to_vec(), strip: false }).expect("valid");
    Rules::new(options.check(Mode::Pooled).expect("valid"))
}

/// Two requests are in flight; the first of them closes the connection, which now lingers, since 0 ms.
fn lingering(rules: &Rules) -> Connection {
    let mut conn = Connection::new(0);
    conn.input(rules, 0, b"a\nb\n", &mut Later);
    conn.reply(rules, 0, answer(0, b"", Ending::Close));
    assert_eq!(conn.status(), Status::Finished { linger: true });
    conn.linger(0);
    assert_eq!(conn.deadline_ms(rules), Some(LINGER_MS));
    conn
}

#[test]
fn a_peer_that_drips_bytes_does_not_prolong_the_lingering() {
    let rules = pooled(Order::Parallel);
    let mut conn = lingering(&rules);
    conn.input(&rules, LINGER_MS - 1, b"x", &mut Later);
    assert_eq!(conn.deadline_ms(&rules), Some(LINGER_MS));
    conn.tick(&rules, LINGER_MS);
    assert_eq!(conn.status(), Status::Cut);
}

#[test]
fn a_reply_that_comes_too_late_does_not_prolong_the_lingering() {
    let rules = pooled(Order::Parallel);
    let mut conn = lingering(&rules);
    conn.reply(&rules, LINGER_MS - 1, answer(1, b"late", Ending::Continue));
    assert_eq!(conn.deadline_ms(&rules), Some(LINGER_MS));
    assert!(!conn.wants_write());
}

#[test]
fn a_callback_that_fails_after_its_promise_was_kept_closes_the_connection_in_unordered_too() {
    let rules = pooled(Order::Unordered);
    let mut conn = Connection::new(0);
    conn.input(&rules, 0, b"a\n", &mut Later);
    conn.reply(&rules, 0, answer(0, b"kept", Ending::Continue));
    conn.reply(&rules, 0, answer(0, b"", Ending::Failed));
    assert_eq!(conn.single_output(), Some(b"kept".as_slice()));
    assert_eq!(conn.reason(), (CloseReason::CallbackFailed, 0));
}

#[test]
fn a_worker_answers_several_requests_of_which_a_promise_has_answered_the_last() {
    let rules = pooled(Order::Serial);
    let mut conn = Connection::new(0);
    conn.input(&rules, 0, b"a\nb\n", &mut Later);
    // The worker answers request 0, does not post it yet, and begins request 1. That one defers, another thread keeps the
    // promise at once, and then the callback fails: it joins the answer that was not posted.
    conn.reply(&rules, 0, answer(1, b"kept", Ending::Continue));
    let both = Answer { first: 0, count: 2, request_bytes: 4, bytes: b"first".to_vec(), ending: Ending::Failed };
    conn.reply(&rules, 0, both);
    assert_eq!(conn.single_output(), Some(b"first".as_slice()));
    assert_eq!(conn.reason(), (CloseReason::CallbackFailed, 0));
    conn.wrote(&rules, 0, 5);
    assert_eq!(conn.status(), Status::Finished { linger: true });
}

#[test]
fn a_partial_frame_too_long_for_the_headroom_stays_where_it_is_when_nothing_is_read() {
    let rules = parallel(4);
    let mut conn = Connection::new(0);
    conn.input(&rules, 0, b"partial", &mut Later);
    let mut headroom = [0; 4];
    let lent = conn.lend_partial(&mut headroom);
    assert_eq!(lent, 0);
    // As after a read that would block, is interrupted, or finds the peer's FIN.
    conn.keep_partial(&headroom[..lent]);
    conn.end_of_input();
    assert_eq!(conn.reason(), (CloseReason::ProtocolError, 0));
}

/// Answers each request at once, with itself.
struct Echo;

impl Host for Echo {
    fn frame_end(&mut self, _bytes: &[u8], _seen: usize) -> FrameEnd {
        FrameEnd::Refused
    }

    fn request(&mut self, _number: u64, payload: &[u8], output: &mut Vec<u8>) -> Begun {
        output.extend_from_slice(payload);
        Begun::Answered(Ending::Continue)
    }
}

#[test]
fn output_at_the_high_mark_holds_requests_back_also_where_the_low_mark_is_the_same() {
    let mut options = Options::new();
    options.set_framing(Framing::Delimiter { delimiter: b"\n".to_vec(), strip: false }).expect("valid");
    options.set_output_water_marks(2, 2).expect("equal marks are taken");
    let rules = Rules::new(options.check(Mode::Single).expect("valid"));
    let mut conn = Connection::new(0);
    conn.input(&rules, 0, b"a\nb\n", &mut Echo);
    assert_eq!((conn.single_output(), conn.next_request()), (Some(b"a\n".as_slice()), 1));
    // A loop that is told otherwise spins until the peer reads.
    assert!(!conn.wants_advance(&rules), "nothing can begin");
    conn.wrote(&rules, 0, 1);
    assert!(conn.wants_advance(&rules));
}

// ---- The whole -----------------------------------------------------------------------------------------------------

#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) order: Order,
    pub(crate) framing: Framing,
    pub(crate) max_in_flight: u32,
    pub(crate) max_frame_bytes: usize,
    pub(crate) low_bytes: usize,
    pub(crate) high_bytes: usize,
    /// What one read takes; the room for a partial frame before it; what one turn may read.
    pub(crate) sizes: [usize; 3],
}

impl Setup {
    fn rules(&self, mode: Mode) -> Rules {
        let mut options = Options::new();
        options.set_order(self.order);
        options.set_frame_timeout_ms(0).set_write_timeout_ms(0);
        if mode == Mode::Pooled {
            options.set_workers(3).expect("valid");
        }
        options.set_framing(self.framing.clone()).expect("valid");
        options.set_max_in_flight(self.max_in_flight).expect("valid");
        options.set_max_frame_bytes(self.max_frame_bytes).expect("valid");
        options.set_output_water_marks(self.low_bytes, self.high_bytes).expect("valid");
        Rules::new(options.check(mode).expect("valid"))
    }
}

fn setups() -> impl Strategy<Value = Setup> {
    let order = prop_oneof![Just(Order::Serial), Just(Order::Parallel), Just(Order::Unordered)];
    let framing = prop_oneof![4 => framings(), 1 => Just(Framing::Raw)];
    let marks = prop_oneof![3 => (1..60_usize, 0..60_usize), 1 => (1..40_000_usize, 0..40_000_usize)];
    let sizes = [1..50_usize, 0..40_usize, 1..120_usize];
    (order, framing, 1..7_u32, 4..60_usize, marks, sizes).prop_map(
        |(order, framing, max_in_flight, max, (low_bytes, extra), sizes)| Setup {
            // Raw bytes have no boundaries by which a peer could tell replies apart.
            order: if framing == Framing::Raw && order == Order::Unordered { Order::Parallel } else { order },
            max_in_flight,
            max_frame_bytes: max_for(&framing, max),
            framing,
            low_bytes,
            high_bytes: low_bytes + extra,
            sizes,
        },
    )
}

/// What happens next. What is impossible at that moment is skipped.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// So many bytes of the peer arrive.
    Arrive(usize),
    Fin,
    Reset,
    /// The peer has taken something.
    Writable,
    /// The loop reads so many messages.
    Mail(usize),
    /// The connection has a turn if it is queued.
    Turn,
    Worker(usize),
    /// Somebody keeps a promise.
    Keep(usize),
    Push,
    Close(bool),
    Abort,
    /// The memory of all connections is short from here on, or no longer.
    Short(bool),
    /// The connection gives back its run, or rests, where it can.
    Rest,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        300 => (1..60_usize).prop_map(Step::Arrive),
        200 => Just(Step::Writable),
        200 => (1..4_usize).prop_map(Step::Mail),
        300 => Just(Step::Turn),
        600 => any::<usize>().prop_map(Step::Worker),
        200 => any::<usize>().prop_map(Step::Keep),
        40 => Just(Step::Push),
        40 => Just(Step::Rest),
        40 => any::<bool>().prop_map(Step::Short),
        6 => Just(Step::Fin),
        6 => any::<bool>().prop_map(Step::Close),
        2 => Just(Step::Reset),
        2 => Just(Step::Abort),
    ];
    vec(step, 0..200)
}

pub(crate) fn drive(setup: &Setup, mode: Mode, stream: Vec<u8>, steps: &[Step], values: Vec<u16>) {
    let mut driver = Driver::new(setup.rules(mode), stream, setup.sizes, values);
    for step in steps {
        driver.step(step);
    }
    driver.finish();
    let Driver { shared, conn, .. } = driver;
    drop(conn);
    assert_eq!(shared.budget.used_bytes(), 0, "all pushes are let go");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_connection_whose_requests_run_inline_does_what_the_model_says(
        (setup, pieces, steps) in (setups(), pieces(1), steps()),
        values in vec(any::<u16>(), 0..600),
    ) {
        drive(&setup, Mode::Single, stream(&setup.framing, &pieces), &steps, values);
    }

    #[test]
    fn a_connection_whose_requests_workers_run_does_what_the_model_says(
        (setup, pieces, steps) in (setups(), pieces(1), steps()),
        values in vec(any::<u16>(), 0..600),
    ) {
        drive(&setup, Mode::Pooled, stream(&setup.framing, &pieces), &steps, values);
    }
}
