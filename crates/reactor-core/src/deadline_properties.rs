//! Properties of the time limits of a connection, with a clock that the test moves: each deadline is the one that the
//! definition says, to the millisecond, whatever stands still meanwhile; nothing happens before it, and its reason at it.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::config::LINGER_MS;
use crate::connection::{Answer, Begun, Connection, Host, Rules, Status};
use crate::handler::{CloseReason, FrameEnd};
use crate::options::{Framing, Mode, Options, Order};
use crate::ordering::Ending;
use crate::push::Push;
use crate::simulated_hosts::server;

#[derive(Clone, Debug)]
struct Setup {
    order: Order,
    max_in_flight: u32,
    /// Of frames, of writes, of idleness; 0 is none.
    limits_ms: [u32; 3],
}

impl Setup {
    fn rules(&self) -> Rules {
        let mut options = Options::new();
        options.set_order(self.order);
        options.set_framing(Framing::Delimiter { delimiter: b"\n".to_vec(), strip: false }).expect("valid");
        options.set_max_in_flight(self.max_in_flight).expect("valid");
        options.set_output_water_marks(4, 8).expect("valid");
        let [frame_ms, write_ms, idle_ms] = self.limits_ms;
        options.set_frame_timeout_ms(frame_ms).set_write_timeout_ms(write_ms).set_idle_timeout_ms(idle_ms);
        Rules::new(options.check(Mode::Single).expect("valid"))
    }
}

/// What happens in one turn.
#[derive(Clone, Debug)]
enum Event {
    Read(Vec<u8>),
    /// The oldest deferred request is answered with so many bytes, or the youngest.
    Reply(usize, bool),
    Push(usize),
    Wrote(usize),
    /// Something beyond the connection keeps it from reading, or no longer.
    Elsewhere(bool),
    /// It rests, where it can.
    Rest,
    Close,
    Fin,
}

fn setups() -> impl Strategy<Value = Setup> {
    let order = prop_oneof![Just(Order::Serial), Just(Order::Parallel), Just(Order::Unordered)];
    let limit = || prop_oneof![1 => Just(0_u32), 4 => 1..3_000_u32];
    (order, 1..5_u32, [limit(), limit(), limit()]).prop_map(|(order, max_in_flight, limits_ms)| Setup {
        order,
        max_in_flight,
        limits_ms,
    })
}

fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let byte = prop_oneof![2 => Just(b'a'), 1 => Just(b'\n')];
    let event = prop_oneof![
        80 => vec(byte, 1..8).prop_map(Event::Read),
        80 => (0..6_usize, any::<bool>()).prop_map(|(len, oldest)| Event::Reply(len, oldest)),
        20 => (1..10_usize).prop_map(Event::Push),
        80 => (1..12_usize).prop_map(Event::Wrote),
        30 => any::<bool>().prop_map(Event::Elsewhere),
        20 => Just(Event::Rest),
        5 => Just(Event::Close),
        5 => Just(Event::Fin),
    ];
    vec((prop_oneof![1 => Just(0), 3 => 0..400_u64, 1 => 0..2_500_u64], event), 1..80)
}

/// Answers the requests that `at_once` says, the others later.
struct Handler<'a> {
    at_once: &'a [bool],
    promises: &'a mut Vec<(u64, usize)>,
    begun: &'a mut usize,
}

impl Host for Handler<'_> {
    fn frame_end(&mut self, _bytes: &[u8], _seen: usize) -> FrameEnd {
        FrameEnd::Refused
    }

    fn request(&mut self, number: u64, payload: &[u8], output: &mut Vec<u8>) -> Begun {
        *self.begun += 1;
        if self.at_once[number as usize % self.at_once.len()] {
            output.extend_from_slice(&payload[1..]);
            return Begun::Answered(Ending::Continue);
        }
        self.promises.push((number, payload.len()));
        Begun::Pending
    }
}

/// A connection and its clock, and beside them what its deadlines follow from.
struct World {
    setup: Setup,
    now_ms: u64,
    /// Time that has passed while this side let it read.
    reading_ms: u64,
    /// All that was read, and `reading_ms` at each byte.
    read: Vec<(u8, u64)>,
    begun: usize,
    /// Requests that are answered later, and the bytes of each.
    promises: Vec<(u64, usize)>,
    /// The last byte either way, or answer: `reading_ms`, and the time.
    active: (u64, u64),
    /// Since when output waits for the peer to take a byte.
    write_since_ms: u64,
    elsewhere: bool,
    /// A FIN was read, or it was closed.
    input_over: bool,
    lingers_since_ms: Option<u64>,
    over: bool,
}

impl World {
    fn new(setup: Setup) -> Self {
        World {
            setup,
            now_ms: 0,
            reading_ms: 0,
            read: Vec::new(),
            begun: 0,
            promises: Vec::new(),
            active: (0, 0),
            write_since_ms: 0,
            elsewhere: false,
            input_over: false,
            lingers_since_ms: None,
            over: false,
        }
    }

    /// When the partial frame at the end of the input began, by the time that counts for it.
    fn partial_since(&self) -> Option<u64> {
        let whole = self.read.iter().filter(|(byte, _)| *byte == b'\n').count();
        let begin = self.read.iter().rposition(|(byte, _)| *byte == b'\n').map_or(0, |at| at + 1);
        self.read.get(begin).filter(|_| whole == self.begun && !self.input_over).map(|(_, since_ms)| *since_ms)
    }

    /// Every deadline there is, by definition.
    fn deadlines(&self, conn: &Connection) -> Vec<(u64, CloseReason)> {
        if let Some(since_ms) = self.lingers_since_ms {
            return vec![(since_ms + LINGER_MS, CloseReason::Local)];
        }
        let [frame_ms, write_ms, idle_ms] = self.setup.limits_ms.map(u64::from);
        let due = conn.unsent_bytes() > 0;
        let mut deadlines = Vec::new();
        if due && write_ms > 0 {
            deadlines.push((self.write_since_ms + write_ms, CloseReason::WriteTimeout));
        }
        if conn.is_paused() {
            return deadlines;
        }
        // What is left of a limit of which so much has passed.
        let after = |limit_ms: u64, since_ms: u64| self.now_ms + limit_ms - (self.reading_ms - since_ms);
        if let Some(since_ms) = self.partial_since().filter(|_| frame_ms > 0) {
            deadlines.push((after(frame_ms, since_ms), CloseReason::FrameTimeout));
        }
        if !due && self.promises.is_empty() && idle_ms > 0 {
            deadlines.push((after(idle_ms, self.active.0), CloseReason::IdleTimeout));
        }
        deadlines
    }

    /// So much time passes, or less where a deadline ends the connection.
    fn wait(&mut self, rules: &Rules, conn: &mut Connection, ms: u64) {
        let deadlines = self.deadlines(conn);
        let first_ms = deadlines.iter().map(|(deadline_ms, _)| *deadline_ms).min();
        assert_eq!(conn.deadline_ms(rules), first_ms, "of {deadlines:?}");
        let until_ms = self.now_ms + ms;
        if let Some(first_ms) = first_ms.filter(|first_ms| *first_ms <= until_ms) {
            let before = conn.reason();
            // A tick may come late, but what is due now was not due at the last one.
            conn.tick(rules, first_ms.saturating_sub(1));
            assert_ne!(conn.status(), Status::Cut, "a millisecond too early");
            conn.tick(rules, first_ms);
            assert_eq!(conn.status(), Status::Cut);
            let lingers = self.lingers_since_ms.is_some();
            let reason = conn.reason().0;
            assert!(if lingers { conn.reason() == before } else { deadlines.contains(&(first_ms, reason)) });
            self.over = true;
            return;
        }
        conn.tick(rules, until_ms);
        if !conn.is_paused() {
            self.reading_ms += ms;
        }
        self.now_ms = until_ms;
    }

    fn act(&mut self) {
        self.active = (self.reading_ms, self.now_ms);
    }

    fn handle(&mut self, rules: &Rules, conn: &mut Connection, bytes: Option<&[u8]>, at_once: &[bool]) {
        let mut host = Handler { at_once, promises: &mut self.promises, begun: &mut self.begun };
        match bytes {
            Some(bytes) => conn.input(rules, self.now_ms, bytes, &mut host),
            None => conn.advance(rules, self.now_ms, &mut host),
        }
    }

    fn turn(&mut self, rules: &Rules, conn: &mut Connection, event: &Event, at_once: &[bool]) {
        let unsent_before = conn.unsent_bytes();
        let may_read = conn.wants_read(rules);
        match event {
            Event::Read(bytes) if may_read && self.lingers_since_ms.is_none() => {
                self.read.extend(bytes.iter().map(|byte| (*byte, self.reading_ms)));
                self.act();
                let mut bytes_and_partial = vec![0; 3];
                let partial = conn.lend_partial(&mut bytes_and_partial);
                bytes_and_partial.truncate(partial);
                bytes_and_partial.extend_from_slice(bytes);
                self.handle(rules, conn, Some(&bytes_and_partial), at_once);
            }
            Event::Read(bytes) if may_read => self.handle(rules, conn, Some(bytes), at_once),
            Event::Reply(len, oldest) if !self.promises.is_empty() => {
                let (first, request_bytes) = self.promises.remove(if *oldest { 0 } else { self.promises.len() - 1 });
                let bytes = vec![b'r'; *len];
                conn.reply(
                    rules,
                    self.now_ms,
                    Answer { first, count: 1, request_bytes, bytes, ending: Ending::Continue },
                );
                self.act();
            }
            Event::Elsewhere(elsewhere) => self.elsewhere = *elsewhere,
            Event::Fin if may_read => {
                conn.end_of_input();
                self.input_over = true;
            }
            Event::Close if self.lingers_since_ms.is_none() => self.close(conn),
            Event::Rest => {
                if let Some(at_rest) = conn.at_rest() {
                    assert_eq!(conn.memory_bytes(), 0);
                    *conn = Connection::awake(at_rest);
                }
            }
            Event::Read(_) | Event::Reply(..) | Event::Push(_) | Event::Wrote(_) | Event::Close | Event::Fin => {}
        }
        self.advance(rules, conn, unsent_before, at_once);
        if let Event::Wrote(count) = event
            && conn.wants_write()
        {
            conn.wrote(rules, self.now_ms, conn.unsent_bytes().min(*count));
            self.write_since_ms = self.now_ms;
            self.act();
            // What this lets begin does so in the next turn, as when the budget of this one is used up.
        }
    }

    /// What waits begins.
    fn advance(&mut self, rules: &Rules, conn: &mut Connection, unsent_before: usize, at_once: &[bool]) {
        while conn.wants_advance(rules) {
            self.handle(rules, conn, None, at_once);
        }
        if unsent_before == 0 && conn.unsent_bytes() > 0 {
            self.write_since_ms = self.now_ms;
        }
    }

    fn close(&mut self, conn: &mut Connection) {
        let quiet = conn.is_idle() && self.partial_since().is_none();
        let (quiet_ms, quiet_reading_ms) = (self.now_ms - self.active.1, self.reading_ms - self.active.0);
        conn.close(CloseReason::Local, self.now_ms);
        if !self.input_over && quiet {
            let status = conn.status();
            assert!(
                quiet_ms >= LINGER_MS || status == Status::Finished { linger: true },
                "{status:?} at {quiet_ms} ms"
            );
            assert!(quiet_reading_ms < LINGER_MS || status == Status::Finished { linger: false }, "{status:?}");
        }
        self.input_over = true;
    }

    /// As at the end of a turn.
    fn settle(&mut self, rules: &Rules, conn: &mut Connection) {
        conn.take_back_output(&mut Vec::with_capacity(1));
        let pauses = !self.input_over && (self.elsewhere || !conn.wants_read(rules));
        conn.pause(rules, self.now_ms, self.elsewhere);
        assert_eq!(conn.is_paused(), pauses);
        match conn.status() {
            Status::Open => {}
            Status::Finished { linger: true } => {
                conn.linger(self.now_ms);
                self.lingers_since_ms = Some(self.now_ms);
            }
            Status::Finished { linger: false } | Status::Cut => self.over = true,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_deadline_is_the_one_of_the_definition(
        setup in setups(),
        events in events(),
        at_once in vec(any::<bool>(), 1..20),
    ) {
        let shared = server(setup.rules());
        let rules = &shared.rules;
        let mut conn = Connection::new(0);
        let mut world = World::new(setup);
        for (ms, event) in &events {
            world.wait(rules, &mut conn, *ms);
            if world.over {
                break;
            }
            if let Event::Push(len) = event {
                let empty = conn.unsent_bytes() == 0;
                conn.push(rules, world.now_ms, &Push::new(&shared, &vec![b'p'; *len]));
                if empty && conn.unsent_bytes() > 0 {
                    world.write_since_ms = world.now_ms;
                }
            }
            world.turn(rules, &mut conn, event, &at_once);
            world.settle(rules, &mut conn);
            if world.over {
                break;
            }
        }
    }
}

/// Answers each request at once.
struct AtOnce;

impl Host for AtOnce {
    fn frame_end(&mut self, _bytes: &[u8], _seen: usize) -> FrameEnd {
        FrameEnd::Refused
    }

    fn request(&mut self, _number: u64, payload: &[u8], output: &mut Vec<u8>) -> Begun {
        output.extend_from_slice(payload);
        Begun::Answered(Ending::Continue)
    }
}

#[test]
fn output_of_requests_that_waited_for_another_turn_has_its_own_time() {
    let rules = Setup { order: Order::Serial, max_in_flight: 1, limits_ms: [0, 1_000, 0] }.rules();
    let mut conn = Connection::new(0);
    conn.input(&rules, 0, b"seven b\nb\n", &mut AtOnce);
    conn.wrote(&rules, 0, 8);
    // The budget of the turn is used up: the second request begins in the next one.
    assert!(!conn.wants_write() && conn.wants_advance(&rules));
    conn.pause(&rules, 0, false);
    conn.advance(&rules, 700, &mut AtOnce);
    conn.pause(&rules, 700, false);
    assert!(conn.wants_write());
    assert_eq!(conn.deadline_ms(&rules), Some(1_700), "the peer was offered it at 700 ms");
}
