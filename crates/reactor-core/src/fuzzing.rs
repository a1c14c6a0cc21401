//! Owns what a fuzzer calls: each function takes any bytes, and panics where a promise is broken. No part of the public
//! API: for `fuzz/`, and for the test that replays its corpus.

use crate::address::Address;
use crate::config::{MAX_DELIMITER_BYTES, MAX_THREADS};
use crate::connection::Rules;
use crate::connection_properties::{Setup, Step, drive};
use crate::framing_properties::{check_cut, max_for};
use crate::options::{Framing, Mode, Options, Order};

/// Reads numbers off the input; 0 once it is used up.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// Small numbers as often as those at the edges.
    fn number(&mut self) -> usize {
        match self.byte() % 8 {
            0 => usize::MAX - self.below(4),
            1 => u32::MAX as usize - 2 + self.below(4),
            2 => usize::from(self.word()),
            3 => 1 << self.below(usize::BITS as usize),
            _ => self.below(70),
        }
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }

    fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    fn order(&mut self) -> Order {
        [Order::Serial, Order::Parallel, Order::Unordered][self.below(3)]
    }

    /// A framing that options take.
    fn framing(&mut self) -> Framing {
        let kind = self.below(5);
        let strip = self.flag();
        match kind {
            0 => Framing::Raw,
            1 => {
                let len = 1 + self.below(MAX_DELIMITER_BYTES);
                Framing::Delimiter { delimiter: self.bytes(len), strip }
            }
            2 => Framing::LengthPrefix { width: 1 << self.below(4), big_endian: self.flag(), strip },
            3 => Framing::Fixed(1 + self.below(16)),
            _ => Framing::Custom,
        }
    }
}

/// The frames of a stream are those of the definition, however it is cut.
pub fn framing(data: &[u8]) {
    let mut input = Input(data);
    let framing = input.framing();
    let max = max_for(&framing, 1 + input.below(64));
    let chunks: Vec<usize> = (0..input.below(24)).map(|_| input.below(12)).collect();
    if framing != Framing::Raw {
        check_cut(&framing, max, input.0, &chunks);
    }
}

/// A connection does what the model says, whatever its peer, handler, workers and socket do.
pub fn connection(data: &[u8]) {
    let mut input = Input(data);
    let framing = input.framing();
    let order = input.order();
    let low_bytes = 1 + input.below(60);
    let setup = Setup {
        order: if framing == Framing::Raw && order == Order::Unordered { Order::Parallel } else { order },
        max_in_flight: 1 + input.below(6) as u32,
        max_frame_bytes: max_for(&framing, 4 + input.below(56)),
        framing,
        low_bytes,
        high_bytes: low_bytes + input.below(60),
        sizes: [1 + input.below(50), input.below(40), 1 + input.below(120)],
    };
    let mode = if input.flag() { Mode::Pooled } else { Mode::Single };
    let steps: Vec<Step> = (0..input.below(200)).map(|_| step(&mut input)).collect();
    let values = (0..input.below(256)).map(|_| input.word()).collect();
    drive(&setup, mode, input.0.to_vec(), &steps, values);
}

fn step(input: &mut Input<'_>) -> Step {
    match input.byte() {
        0..=59 => Step::Arrive(1 + input.below(60)),
        60..=89 => Step::Writable,
        90..=119 => Step::Mail(1 + input.below(3)),
        120..=149 => Step::Turn,
        150..=199 => Step::Worker(input.below(3)),
        200..=219 => Step::Keep(input.below(8)),
        220..=226 => Step::Push,
        227..=233 => Step::Rest,
        234..=241 => Step::Short(input.flag()),
        242..=245 => Step::Fin,
        246..=249 => Step::Close(input.flag()),
        250..=252 => Step::Reset,
        253..=255 => Step::Abort,
    }
}

/// Any text is an address or is none; one that is has the port that stands in it.
pub fn address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let host_and_port = text.rsplit_once(':').filter(|_| !text.starts_with("unix:"));
    let host = host_and_port.map(|(host, _)| host.trim_start_matches('[').trim_end_matches(']'));
    if host.is_some_and(|host| host.parse::<std::net::IpAddr>().is_err() && !host.is_empty() && !host.contains(':')) {
        // A name would be asked for in the network.
        return;
    }
    if host.is_some_and(|host| host.contains('%')) {
        // A zone is an interface's name, which the system is asked for.
        return;
    }
    match Address::parse(text) {
        Ok(Address::Tcp(addresses)) => {
            let port = host_and_port.and_then(|(_, port)| port.parse::<u16>().ok());
            assert!(!addresses.is_empty() && !text.contains('\0'));
            assert!(addresses.iter().all(|address| Some(address.port()) == port), "{text:?}: {addresses:?}");
        }
        Ok(Address::Unix(path)) => {
            assert_eq!(path.to_str(), text.strip_prefix("unix:"));
            assert!(!path.as_os_str().is_empty() && !text.contains('\0'));
        }
        Err(error) => assert!(error.to_string().contains("address"), "{error}"),
    }
}

/// Settings that are taken keep to their limits and to each other.
pub fn options(data: &[u8]) {
    let mut input = Input(data);
    let mut options = Options::new();
    for _ in 0..input.below(24) {
        set(&mut options, &mut input);
    }
    for number in 0..4 {
        let Ok(mode) = Mode::from_number(number) else { continue };
        let Ok(config) = options.check(mode) else { continue };
        assert!((1..=MAX_THREADS as usize).contains(&config.reactors) && config.workers <= MAX_THREADS as usize);
        assert!(mode != Mode::Single || (config.reactors, config.workers) == (1, 0));
        assert!(mode != Mode::Pooled || config.reactors == 1 && config.workers > 0);
        assert!(config.max_connections > 0 && config.max_in_flight > 0 && config.max_frame_bytes > 0);
        assert!((1..=config.output_high_bytes).contains(&config.output_low_bytes));
        assert!(config.memory_limit_bytes >= config.reactors.saturating_mul(config.max_frame_bytes));
        assert!(config.backlog > 0 && config.unix_mode <= 0o777);
        assert!(config.order != Order::Unordered || config.framing != Framing::Raw);
        let rules = Rules::new(config);
        assert!(rules.message_limit_bytes > 0 && rules.concurrency > 0);
    }
}

/// One setter, whose refusal is an answer too.
fn set(options: &mut Options, input: &mut Input<'_>) {
    let kind = input.below(17);
    let number = input.number();
    let small = number as u32;
    match kind {
        0 => drop(options.set_framing(input.framing()).map(|_| ())),
        1 => {
            let len = input.below(20);
            let delimiter = input.bytes(len);
            drop(options.set_framing(Framing::Delimiter { delimiter, strip: input.flag() }).map(|_| ()));
        }
        2 => drop(
            options
                .set_framing(Framing::LengthPrefix { width: small, big_endian: input.flag(), strip: input.flag() })
                .map(|_| ()),
        ),
        3 => drop(options.set_framing(Framing::Fixed(number)).map(|_| ())),
        4 => drop(options.set_order(input.order())),
        5 => drop(options.set_reactors(small).map(|_| ())),
        6 => drop(options.set_workers(small).map(|_| ())),
        7 => drop(options.set_max_connections(small).map(|_| ())),
        8 => drop(options.set_max_in_flight(small).map(|_| ())),
        9 => drop(options.set_max_frame_bytes(number).map(|_| ())),
        10 => drop(options.set_output_water_marks(number, input.number()).map(|_| ())),
        11 => drop(options.set_output_limit_bytes(number).map(|_| ())),
        12 => drop(options.set_memory_limit_bytes(number).map(|_| ())),
        13 => drop(options.set_frame_timeout_ms(small).set_write_timeout_ms(small).set_idle_timeout_ms(small)),
        14 => drop(options.set_backlog(small).map(|_| ())),
        15 => drop(options.set_nodelay(input.flag()).set_reuse_port(input.flag()).set_keepalive_s(small).map(|_| ())),
        _ => drop(options.set_unix_mode(small).map(|_| ())),
    }
}

/// The corpus that fuzzing has gathered, run as every other test is.
#[cfg(all(test, not(loom)))]
mod tests {
    use std::fs;
    use std::path::Path;

    fn replay(target: &str, call: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let mut count = 0;
        for entry in fs::read_dir(&folder).expect("the corpus is part of the checkout") {
            let path = entry.expect("the folder can be read").path();
            // Captured, and so shown where it fails.
            println!("{}", path.display());
            call(&fs::read(&path).expect("the file can be read"));
            count += 1;
        }
        assert!(count > 0, "{} has no files", folder.display());
    }

    #[test]
    fn the_corpus_of_framing_holds() {
        replay("framing", super::framing);
    }

    #[test]
    fn the_corpus_of_the_connection_holds() {
        replay("connection", super::connection);
    }

    #[test]
    fn the_corpus_of_addresses_holds() {
        replay("address", super::address);
    }

    #[test]
    fn the_corpus_of_options_holds() {
        replay("options", super::options);
    }
}
