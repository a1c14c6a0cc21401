//! `cargo xtask stress NAME`: one load row of RELIABILITY.md at its full size, in each mode, with its figures and a verdict.

use std::process::Command;

use anyhow::Result;

use crate::build;
use crate::process;
use crate::steps::Steps;
use crate::suites;
use crate::workspace::Workspace;

/// The rows, as `tests/tests/peer_stress` names them; it checks the name.
const NAMES: [&str; 11] = [
    "connections",
    "churn",
    "integrity",
    "descriptors",
    "resets",
    "slow-readers",
    "drip",
    "flood",
    "fairness",
    "failures",
    "stops",
];

/// Which row, and how much of it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// connections (R1), churn (R2), integrity (R3), descriptors (R8), resets (R9), slow-readers (R11), drip (R12),
    /// flood (R14), fairness (R15), failures (R17), stops (R19), or all
    name: String,
    /// How much of the full size
    #[arg(long, default_value_t = 100)]
    percent: u32,
    /// single, pooled, multi or multi-with-workers alone
    #[arg(long)]
    mode: Option<String>,
}

/// Builds, then runs the row, or all of them, whatever the earlier ones showed.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    build::c(workspace)?;
    let command = |name| {
        let mut command = row(workspace, name, args.percent);
        if let Some(mode) = &args.mode {
            command.env("REACTOR_STRESS_MODE", mode);
        }
        command
    };
    if args.name != "all" {
        return process::run(&mut command(&args.name));
    }
    let mut steps = Steps::new("xtask stress", "rows");
    for name in NAMES {
        steps.command(name, Ok(command(name)));
    }
    steps.finish()
}

/// The command that runs one row.
pub(crate) fn row(workspace: &Workspace, name: &str, percent: u32) -> Command {
    let mut command = suites::end_to_end(workspace, &["peer_stress"]);
    command.env("REACTOR_STRESS", name).env("REACTOR_STRESS_PERCENT", percent.to_string());
    command.args(["--", "--ignored", "--exact", "stress", "--nocapture"]);
    command
}
