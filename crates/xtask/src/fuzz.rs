//! `cargo xtask fuzz`: libFuzzer on one part of the engine, for a while. The corpus in fuzz/corpus grows by what it finds,
//! and the tests replay that. What the targets call is crates/reactor-core/src/fuzzing.rs.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::workspace::Workspace;

/// What to fuzz, and for how long.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(value_parser = ["framing", "connection", "address", "options"])]
    target: String,
    /// How long
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Drop what of the corpus adds nothing, and fuzz no more
    #[arg(long)]
    minimise: bool,
}

/// Tells the compiler to count which edges and comparisons a run has seen, as cargo-fuzz does. No address sanitizer: the
/// engine forbids unsafe code.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                        -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions";

/// Builds the target and runs it; what makes it fail is left in fuzz/artifacts.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let folder = workspace.root.join("fuzz");
    let corpus = folder.join("corpus").join(&args.target);
    let found = folder.join("artifacts").join(&args.target);
    for folder in [&corpus, &found] {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let fresh = found.join("fresh");
    let mut cargo = cargo(workspace, &args.target)?;
    cargo.arg(format!("-artifact_prefix={}/", found.display())).args(["-max_len=1024", "-timeout=10"]);
    if args.minimise {
        fs::rename(&corpus, &fresh).with_context(|| format!("moving {}", corpus.display()))?;
        fs::create_dir_all(&corpus).with_context(|| format!("making {}", corpus.display()))?;
        cargo.arg("-merge=1").arg(&corpus).arg(&fresh);
        process::run(&mut cargo)?;
        return fs::remove_dir_all(&fresh).with_context(|| format!("removing {}", fresh.display()));
    }
    cargo.arg(format!("-max_total_time={}", args.seconds)).arg("-print_final_stats=1").arg(&corpus);
    process::run(&mut cargo)
}

fn cargo(workspace: &Workspace, target: &str) -> Result<Command> {
    let version = Command::new("rustc").arg("-vV").output().context("asking rustc for its version")?;
    let version = String::from_utf8(version.stdout).context("reading the version of rustc")?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    let mut cargo = Command::new("cargo");
    cargo.current_dir(workspace.root.join("fuzz"));
    // Named, so that the flags reach neither build scripts nor macros.
    cargo.args(["run", "--quiet", "--release", "--target", host, "--bin", target]);
    cargo.arg("--target-dir").arg(workspace.lib_dir().with_file_name("fuzz"));
    cargo.arg("--");
    // The passes are an unstable option.
    cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", COVERAGE);
    Ok(cargo)
}
