//! Owns which seeds are run: a few thousand of each test run, and as many as `cargo xtask sim` asks for. A seed that fails
//! is shrunk, and its story told.

use std::env;
use std::fmt::Write as _;
use std::time::Instant;

use crate::simulation::plan::Plan;
use crate::simulation::run;
use crate::simulation::shrink::shrink;

/// Seeds of a test run.
const FEW: u64 = 2_000;

/// Runs one seed; the account of its failure, if it has one.
fn account(seed: u64) -> Option<String> {
    let plan = Plan::of(seed);
    let first = run(&plan, false).failure?;
    let steps = plan.steps.len();
    let plan = shrink(plan);
    let outcome = run(&plan, true);
    let mut account = format!("seed {seed} breaks a promise: {first}\n\nThe shortest story found ");
    let _ = writeln!(account, "({} of {steps} steps), with {:#?}:\n", plan.steps.len(), plan.setup);
    for line in &outcome.story {
        let _ = writeln!(account, "  {line}");
    }
    let _ = writeln!(account, "\n  {}", outcome.failure.unwrap_or_else(|| "and then it held".to_owned()));
    let _ = writeln!(account, "\nreplay: cargo xtask sim --seed {seed}");
    Some(account)
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn whatever_peers_handlers_workers_and_time_do_each_promise_is_kept() {
    if let Some(seed) = number("REACTOR_SIM_SEED") {
        let story = run(&Plan::of(seed), true);
        println!("{:#?}\n{}", Plan::of(seed).setup, story.story.join("\n"));
        assert!(story.failure.is_none(), "{}", account(seed).unwrap_or_default());
        return;
    }
    let first = number("REACTOR_SIM_FIRST").unwrap_or(0);
    let count = number("REACTOR_SIM_SEEDS").unwrap_or(FEW);
    let began = Instant::now();
    let mut polls = 0_u64;
    for seed in first..first + count {
        let outcome = run(&Plan::of(seed), false);
        polls += u64::from(outcome.polls);
        if seed % 5_000 == 4_999 {
            println!("{} seeds, {:.0} s", seed + 1 - first, began.elapsed().as_secs_f64());
        }
        if outcome.failure.is_some() {
            panic!("{}", account(seed).unwrap_or_else(|| format!("seed {seed} failed once, and does not again")));
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{count} seeds from {first} on, {polls} polls, in {seconds:.1} s: {:.0} seeds a minute",
        count as f64 / seconds * 60.0
    );
}

/// A seed that fails must fail again, and in the same way: nothing but the seed decides.
#[test]
fn a_seed_gives_the_same_story_each_time() {
    for seed in 0..40 {
        let plan = Plan::of(seed);
        assert_eq!(run(&plan, true).story, run(&plan, true).story, "seed {seed}");
    }
}
