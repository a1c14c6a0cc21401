//! `cargo xtask loom`: the models of the queues between threads, each run through every interleaving, or through all those
//! of a few preemptions. The models are in crates/reactor-core/src/models.

use std::env;
use std::path::Path;
use std::process::Command;

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
    cargo.arg(&args.filter);
    with_models(&mut cargo, &workspace.lib_dir().with_file_name("loom"));
    process::run(&mut cargo)
}

/// Has cargo build the engine so. `target` is a folder of its own: every crate is built anew with other flags.
pub(crate) fn with_models(cargo: &mut Command, target: &Path) {
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    cargo.env("RUSTFLAGS", format!("{flags} --cfg loom").trim()).env("CARGO_TARGET_DIR", target);
}
