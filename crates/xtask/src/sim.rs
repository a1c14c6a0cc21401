//! `cargo xtask sim`: the engine's own loop over a simulated network, clock and crew of workers, for as many seeds as
//! asked for. The tests run a few thousand of them; the simulation itself is in crates/reactor-core/src/simulation.

use std::process::Command;

use anyhow::Result;

use crate::process;
use crate::tools;
use crate::workspace::Workspace;

/// Which seeds.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many seeds
    #[arg(long, default_value_t = 20_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// One seed alone, with its story
    #[arg(long)]
    seed: Option<u64>,
}

const TEST: &str = "simulation::seeds::whatever_peers_handlers_workers_and_time_do_each_promise_is_kept";

/// Runs them; the first that fails is shrunk, and its story told.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let mut cargo: Command =
        tools::cargo(workspace, ["test", "--quiet", "--profile", "sim", "-p", "reactor-core", "--lib", "--", TEST]);
    cargo.args(["--exact", "--nocapture"]);
    match args.seed {
        Some(seed) => cargo.env("REACTOR_SIM_SEED", seed.to_string()),
        None => cargo.env("REACTOR_SIM_FIRST", args.from.to_string()).env("REACTOR_SIM_SEEDS", args.seeds.to_string()),
    };
    process::run(&mut cargo)
}
