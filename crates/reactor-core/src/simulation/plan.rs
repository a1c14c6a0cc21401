//! Owns what a seed decides before the run: the server's settings, what each client sends, and what happens in which
//! order. A plan can be made smaller and run again. Knows nothing of how it is carried out.

use crate::framing_properties::{frame, max_for};
use crate::options::{Framing, Mode, Options, Order};
use crate::simulation::dice::Source;

/// The settings of the server under test.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// 0: requests run inline.
    pub(crate) workers: u32,
    pub(crate) order: Order,
    pub(crate) framing: Framing,
    pub(crate) max_in_flight: u32,
    pub(crate) max_frame_bytes: usize,
    pub(crate) low_bytes: usize,
    pub(crate) high_bytes: usize,
    pub(crate) output_limit_bytes: usize,
    pub(crate) memory_limit_bytes: usize,
    /// Of frames, writes and idleness, in milliseconds; 0 is none.
    pub(crate) timeouts_ms: [u32; 3],
    pub(crate) max_connections: u32,
    /// Handlers do nothing but answer at once.
    pub(crate) tame: bool,
}

/// What happens next; what is impossible at that moment is skipped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// The client of this number connects.
    Connect(usize),
    /// So many of its bytes arrive.
    Send(usize, usize),
    Fin(usize),
    Reset(usize),
    /// It takes so many bytes.
    Drain(usize, usize),
    /// Out-of-band bytes are among those that it has sent.
    Mark(usize),
    /// One step of a worker.
    Worker(usize),
    /// Somebody keeps a promise.
    Keep(usize),
    Push(usize),
    Broadcast,
    Close(usize),
    Abort(usize),
    /// The handler has room again.
    Resume,
    /// So many milliseconds pass.
    Wait(u64),
    /// Descriptors run out, or no longer.
    Exhaust(bool),
    /// A client gives up before it is accepted.
    Lose,
    /// A stop, with so many milliseconds for the drain.
    Stop(u32),
}

/// A step, and the seed of all that is open while it lasts; calm: nothing rare happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) what: What,
    pub(crate) seed: u64,
    pub(crate) calm: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) setup: Setup,
    /// What each client sends in all, and how much its window takes before it reads.
    pub(crate) clients: Vec<(Vec<u8>, usize)>,
    pub(crate) steps: Vec<Step>,
}

impl Setup {
    pub(crate) fn mode(&self) -> Mode {
        if self.workers > 0 { Mode::Pooled } else { Mode::Single }
    }

    pub(crate) fn options(&self) -> Options {
        let valid = "the plan keeps to what options take";
        let mut options = Options::new();
        if self.workers > 0 {
            options.set_workers(self.workers).expect(valid);
        }
        let [frame_ms, write_ms, idle_ms] = self.timeouts_ms;
        options.set_order(self.order);
        options.set_frame_timeout_ms(frame_ms).set_write_timeout_ms(write_ms).set_idle_timeout_ms(idle_ms);
        options.set_framing(self.framing.clone()).expect(valid);
        options.set_max_in_flight(self.max_in_flight).expect(valid);
        options.set_max_frame_bytes(self.max_frame_bytes).expect(valid);
        options.set_output_water_marks(self.low_bytes, self.high_bytes).expect(valid);
        options.set_output_limit_bytes(self.output_limit_bytes).expect(valid);
        options.set_memory_limit_bytes(self.memory_limit_bytes).expect(valid);
        options.set_max_connections(self.max_connections).expect(valid);
        options
    }

    fn of(source: &mut Source) -> Setup {
        let framing = framing(source);
        let order = match source.below(3) {
            0 => Order::Serial,
            // Raw bytes have no boundaries by which a peer could tell replies apart.
            1 if framing != Framing::Raw => Order::Unordered,
            _ => Order::Parallel,
        };
        let small = !source.once_in(8);
        let max = if small { source.within(4..60) } else { source.within(300..80_000) };
        let max_frame_bytes = max_for(&framing, max);
        let low_bytes = if source.once_in(4) { source.within(1..40_000) } else { source.within(1..100) };
        let memory = match source.below(4) {
            0 => source.within(0..200),
            1 => source.within(0..4_000),
            _ => 1 << 24,
        };
        let mut timeout = || if source.once_in(2) { 0 } else { source.within(1..3_000) as u32 };
        let timeouts_ms = [timeout(), timeout(), timeout()];
        Setup {
            workers: if source.once_in(2) { 0 } else { source.within(1..4) as u32 },
            order,
            framing,
            max_in_flight: source.within(1..7) as u32,
            max_frame_bytes,
            low_bytes,
            high_bytes: low_bytes + source.below(100),
            output_limit_bytes: if source.once_in(4) { source.within(40..400) } else { 100_000 },
            memory_limit_bytes: max_frame_bytes + memory,
            timeouts_ms,
            max_connections: if source.once_in(4) { source.within(1..4) as u32 } else { 100 },
            tame: source.once_in(6),
        }
    }
}

fn framing(source: &mut Source) -> Framing {
    let strip = source.once_in(2);
    match source.below(6) {
        0 => Framing::Raw,
        1 | 2 => {
            // Of two letters, so that delimiters overlap with themselves and with payloads.
            let len = source.within(1..5);
            let delimiter = (0..len).map(|_| b'a' + source.below(2) as u8).collect();
            Framing::Delimiter { delimiter, strip }
        }
        3 => Framing::LengthPrefix { width: [1, 2, 4, 8][source.below(4)], big_endian: source.once_in(2), strip },
        4 => Framing::Fixed(source.within(1..16)),
        _ => Framing::Custom,
    }
}

fn stream(source: &mut Source, setup: &Setup) -> Vec<u8> {
    let mut stream = Vec::new();
    let long_frames = match setup.framing {
        Framing::Raw | Framing::Delimiter { .. } => true,
        Framing::LengthPrefix { width, .. } => width > 1,
        Framing::Fixed(_) | Framing::Custom => false,
    };
    let large = long_frames && setup.max_frame_bytes > 300 && source.once_in(8);
    let count = if large { source.below(6) } else { source.below(25) };
    for _ in 0..count {
        let most = if large { setup.max_frame_bytes } else { 14.min(setup.max_frame_bytes) };
        let len = source.within(0..most.max(1));
        let payload: Vec<u8> = if large {
            (0..len).map(|place| b'0' + (place % 40) as u8).collect::<Vec<u8>>()
        } else {
            (0..len).map(|_| b'a' + source.below(3) as u8).collect()
        };
        match source.below(60) {
            0 => stream.extend(payload),
            1 => stream.extend(frame(&setup.framing, &payload).iter().take(3)),
            2 => stream.extend(source.number().to_le_bytes()),
            _ => stream.extend(frame(&setup.framing, &payload)),
        }
    }
    stream
}

impl Plan {
    /// What this seed decides.
    pub(crate) fn of(seed: u64) -> Plan {
        let mut source = Source(seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ 0x1234_5678_9ABC_DEF1);
        let setup = Setup::of(&mut source);
        let count = source.within(1..7);
        let window = |source: &mut Source| if source.once_in(3) { source.below(60) } else { 200_000 };
        let clients = (0..count).map(|_| (stream(&mut source, &setup), window(&mut source))).collect();
        let mut steps = vec![];
        for client in 0..source.within(1..3).min(count) {
            steps.push(What::Connect(client));
        }
        for _ in 0..source.within(5..90) {
            steps.push(what(&mut source, count, &setup));
        }
        let mut step = |what| {
            let (seed, calm) = (source.number(), source.once_in(3));
            Step { what, seed, calm }
        };
        Plan { setup, clients, steps: steps.into_iter().map(&mut step).collect() }
    }
}

fn what(source: &mut Source, clients: usize, setup: &Setup) -> What {
    let client = source.below(clients);
    let count = if source.once_in(8) { source.within(1..100_000) } else { source.within(1..40) };
    match source.below(200) {
        0..=49 => What::Send(client, count),
        50..=69 => What::Drain(client, count),
        70..=109 if setup.workers > 0 => What::Worker(source.below(4)),
        110..=129 => What::Keep(source.below(8)),
        130..=143 => What::Connect(client),
        144..=149 => What::Push(client),
        150..=151 => What::Broadcast,
        152..=169 => What::Wait(if source.once_in(4) { source.below(3_000) } else { source.below(100) } as u64),
        170..=175 => What::Fin(client),
        176 => What::Reset(client),
        177 => What::Close(client),
        178 if source.once_in(2) => What::Abort(client),
        179..=180 => What::Exhaust(source.once_in(2)),
        181 => What::Lose,
        182 => What::Mark(client),
        183 if source.once_in(3) => What::Stop(source.below(2_000) as u32),
        184..=189 => What::Resume,
        _ => What::Send(client, count),
    }
}
