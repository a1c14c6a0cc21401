//! `cargo xtask loom`: the models of the queues between threads, each run through every interleaving, or through all those
//! of a few preemptions. The models are in crates/reactor-core/src/models.

use std::env;

use anyhow::Result;

use crate::process;
use crate::tools;
use crate::workspace::Workspace;

/// Which models.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only models with this in their name
    #[arg(default_value = "models::")]
    filter: String,
}

/// Builds the engine with loom's locks, atomics and threads, and runs the models.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let mut cargo = tools::cargo(workspace, ["test", "--quiet", "-p", "reactor-core", "--lib"]);
    // A folder of its own: every crate is built anew with other flags.
    cargo.arg("--target-dir").arg(workspace.lib_dir().with_file_name("loom"));
    cargo.args(["--", &args.filter]);
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    cargo.env("RUSTFLAGS", format!("{flags} --cfg loom").trim());
    process::run(&mut cargo)
}
