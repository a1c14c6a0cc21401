//! Runs a scene: its servers in turn, base, ours, base, ours, base, until enough pairs were steady. Knows nothing of
//! what the figures mean.

use std::time::Duration;

use crate::bench::measure::{self, Setting};
use crate::bench::outcome::Outcome;
use crate::bench::sample::Sample;
use crate::bench::scene::{Contender, Load, Scene};

/// How much of the pairs must be steady before a scene ends early.
const ENOUGH: f64 = 0.6;
/// How many rounds more than asked for a scene may take, where the machine is unsteady.
const PATIENCE: usize = 3;

/// Runs it. What fails is left out and told in the outcome, and the rest goes on.
pub(crate) fn run(setting: &Setting<'_>, scene: Scene, rounds: usize) -> Outcome {
    println!("{}: {}", scene.row, scene.title);
    let rounds = scene.rounds.unwrap_or(rounds);
    let enough = (rounds as f64 * ENOUGH).ceil() as usize;
    let bases: Vec<_> = scene.claims.iter().filter_map(|claim| claim.against.clone()).collect();
    let is_base = |contender: &Contender| bases.contains(&contender.name);
    let mut outcome = Outcome::new(scene);
    for at in 0..outcome.samples.len() {
        let contender = &outcome.scene.contenders[at];
        let missing = setting.programs.missing(contender.program).or(match contender.load {
            Load::Wrk { .. } => setting.programs.no_wrk.as_deref(),
            _ => None,
        });
        if let Some(missing) = missing {
            println!("  {}: {missing}", contender.name);
            outcome.gaps.push((contender.name.clone(), missing.into()));
        }
    }
    take(setting, &mut outcome, is_base);
    let most = if rounds > 1 { rounds + PATIENCE } else { 1 };
    for round in 1..=most {
        take(setting, &mut outcome, |contender| !is_base(contender));
        take(setting, &mut outcome, is_base);
        if round >= rounds && outcome.steady_pairs() >= enough {
            break;
        }
    }
    outcome
}

/// A sample of each contender that is chosen and has not failed.
fn take(setting: &Setting<'_>, outcome: &mut Outcome, chosen: impl Fn(&Contender) -> bool) {
    for at in 0..outcome.samples.len() {
        let contender = &outcome.scene.contenders[at];
        if !chosen(contender) || outcome.gaps.iter().any(|(name, _)| *name == contender.name) {
            continue;
        }
        // Once more: a peer's backlog may have overflowed, or a port be in use.
        let sample = measure::take(setting, contender).or_else(|error| {
            println!("  {}: {error:#}; once more", contender.name);
            measure::take(setting, contender)
        });
        match sample {
            Ok(sample) => {
                println!("  {:<28} {}", contender.name, told(&sample, &outcome.scene));
                outcome.samples[at].push(sample);
            }
            Err(error) => {
                println!("  {} failed: {error:#}", contender.name);
                outcome.gaps.push((contender.name.clone(), format!("failed: {error:#}")));
            }
        }
    }
}

fn told(sample: &Sample, scene: &Scene) -> String {
    let figures = scene.shows.iter().filter_map(|metric| {
        let value = sample.get(*metric)?;
        Some(format!("{} {}", metric.shown(value), metric.name()))
    });
    figures.collect::<Vec<_>>().join(", ")
}

/// About how long it will take.
pub(crate) fn estimate(scene: &Scene, rounds: usize, sample: Duration) -> Duration {
    let rounds = u32::try_from(scene.rounds.unwrap_or(rounds)).unwrap_or(u32::MAX);
    let of_one = |contender: &Contender| match contender.load {
        Load::ClusterClient => Duration::from_secs(15),
        Load::Hold { .. } => Duration::from_secs(4),
        Load::Connect { .. } | Load::Count(_) => Duration::from_millis(1_500),
        Load::Run(_) | Load::Wrk { .. } | Load::BusyMainThread => {
            sample + Duration::from_millis(if contender.program.needs_node() { 1_200 } else { 350 })
        }
    };
    let round: Duration = scene.contenders.iter().map(of_one).sum();
    round * rounds + round / 2
}
