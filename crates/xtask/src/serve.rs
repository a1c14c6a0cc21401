//! `cargo xtask serve`: one C example in the foreground, to try by hand.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::build;
use crate::workspace::Workspace;

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of a program in examples/c
    example: String,
    /// Passed on to it, such as --mode multi
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// Becomes the example: its output, signals and exit status are then its own.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let sources = workspace.example_sources()?;
    let names: Vec<_> = sources.iter().filter_map(|source| source.file_stem()?.to_str()).collect();
    if !names.contains(&args.example.as_str()) {
        bail!("there is no example `{}`; there are: {}", args.example, names.join(", "));
    }
    build::c(workspace)?;
    let program = workspace.examples_dir().join(&args.example);
    let error = Command::new(&program).args(&args.args).exec();
    Err(error).with_context(|| format!("running {}", program.display()))
}
