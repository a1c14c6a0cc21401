//! The load rows of RELIABILITY.md. `cargo xtask stress NAME` runs one of them at its full size, in each mode; each prints
//! its figures and a verdict. Here in the suite: short forms of those that no other test holds.

mod connections;
mod failures;
mod integrity;
mod latency;
mod memory;
mod stops;

use std::env;
use std::time::Instant;

use reactor_tests::Mode;
use reactor_tests::load::raise_descriptor_limit;

use connections::{churned, connections, descriptors_exhausted, dripped};
use failures::failures;
use integrity::integrity;
use latency::{fairness, resets};
use memory::{flooded, slow_readers};
use stops::stops;

const MIB: f64 = 1024.0 * 1024.0;

/// How much of the full size, in per cent.
struct Size(usize);

impl Size {
    fn of(&self, full: usize) -> usize {
        (full * self.0 / 100).max(1)
    }
}

/// What came of a row in one mode: its figures, and whether the promise held.
struct Verdict {
    figures: String,
    holds: bool,
}

type Row = fn(Mode, &Size) -> Verdict;

/// Row of RELIABILITY.md, its name, and what shows it.
const ROWS: [(&str, &str, Row); 11] = [
    ("R1", "connections", connections),
    ("R2", "churn", churned),
    ("R3", "integrity", integrity),
    ("R8", "descriptors", descriptors_exhausted),
    ("R9", "resets", resets),
    ("R11", "slow-readers", slow_readers),
    ("R12", "drip", dripped),
    ("R14", "flood", flooded),
    ("R15", "fairness", fairness),
    ("R17", "failures", failures),
    ("R19", "stops", stops),
];

const MODES: [(&str, Mode); 4] = [
    ("single", Mode::Single),
    ("pooled", Mode::Pooled),
    ("multi", Mode::Multi),
    ("multi-with-workers", Mode::MultiWithWorkers),
];

#[test]
#[ignore = "minutes long: cargo xtask stress NAME"]
fn stress() {
    let name = env::var("REACTOR_STRESS").expect("cargo xtask stress names a row");
    let size = Size(env::var("REACTOR_STRESS_PERCENT").map_or(100, |text| text.parse().expect("a number of per cent")));
    let only = env::var("REACTOR_STRESS_MODE").ok();
    let known = ROWS.map(|(_, name, _)| name).join(", ");
    let (row, name, run) =
        ROWS.into_iter().find(|(_, known, _)| *known == name).unwrap_or_else(|| panic!("one of {known}"));
    raise_descriptor_limit();
    let mut broken = Vec::new();
    for (mode_name, mode) in MODES.into_iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name)) {
        let begun = Instant::now();
        let Verdict { figures, holds } = run(mode, &size);
        let word = if holds { "holds" } else { "BROKEN" };
        println!("{row} {name} {mode_name}: {word}: {figures} ({:.0} s)", begun.elapsed().as_secs_f64());
        if !holds {
            broken.push(mode_name);
        }
    }
    assert!(broken.is_empty(), "{row} {name} does not hold in: {}", broken.join(", "));
}
