//! `cargo xtask faults`: R4, R7 and R8 of RELIABILITY.md on the real library, with a preloaded shim between it and the system.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

use crate::build;
use crate::steps::Steps;
use crate::stress;
use crate::suites;
use crate::workspace::Workspace;

/// Which faults.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Each of the first 500 calls with each error, in each mode: a quarter of an hour
    #[arg(long)]
    all: bool,
    /// Faults in each mode, where not all
    #[arg(long, default_value_t = 300)]
    samples: u64,
    /// Which of them; by default another each time
    #[arg(long)]
    seed: Option<u64>,
    /// Of one call alone, such as sendmsg
    #[arg(long)]
    call: Option<String>,
    /// Bytes that each of eight connections sends in portions of 1 to 7
    #[arg(long, default_value_t = 2_000_000)]
    bytes: u64,
}

/// Builds, then runs the rows one after another.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    build::c(workspace)?;
    let of_the_clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.subsec_nanos().into());
    let seed = args.seed.unwrap_or_else(of_the_clock);
    println!("the seed is {seed}: cargo xtask faults --seed {seed} does the same again");
    let mut steps = Steps::new("xtask faults", "rows");

    let mut short = suites::end_to_end(workspace, &["peer_faults"]);
    short.env("REACTOR_FAULTS_SEED", seed.to_string()).env("REACTOR_FAULTS_BYTES", args.bytes.to_string());
    short.args(["--", "--nocapture", "--test-threads=1", "bytes_that_come", "lines_cut"]);
    steps.command("R4: portions of 1 to 7 bytes, EINTR and EAGAIN", Ok(short));

    let mut once = suites::end_to_end(workspace, &["peer_faults"]);
    once.env("REACTOR_FAULTS_SEED", seed.to_string()).env("REACTOR_FAULTS_SAMPLES", args.samples.to_string());
    if args.all {
        once.env("REACTOR_FAULTS_ALL", "1");
    }
    if let Some(call) = &args.call {
        once.env("REACTOR_FAULTS_ONLY", call);
    }
    once.args(["--", "--nocapture", "--test-threads=1", "a_call_that_fails", "a_stop_is_not_lost"]);
    steps.command("R7: each call fails once", Ok(once));

    steps.command("R8: descriptors exhausted", Ok(stress::row(workspace, "descriptors", 100)));
    steps.finish()
}
