//! Builds the release library, the C examples and the Node package, and nothing that is newer than what it is made
//! from. Runs none of them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::node_package;
use crate::process;
use crate::tools;
use crate::workspace::{Workspace, files_in};

/// What a C programmer needs, then what a Node programmer needs.
pub(crate) fn everything(workspace: &Workspace) -> Result<()> {
    c(workspace)?;
    node_package::build(workspace)
}

/// The library, then the examples.
pub(crate) fn c(workspace: &Workspace) -> Result<()> {
    library(workspace)?;
    examples(workspace)
}

/// The release library; its build script makes the link that its SONAME needs.
pub(crate) fn library(workspace: &Workspace) -> Result<()> {
    process::run(&mut tools::cargo(workspace, ["build", "--release", "-p", "reactor-capi"]))
}

/// The C examples, each from one source file.
fn examples(workspace: &Workspace) -> Result<()> {
    let folder = workspace.examples_dir();
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let shared = shared_inputs(workspace)?;
    let cc = tools::cc(workspace)?;
    for source in workspace.example_sources()? {
        let program = folder.join(source.file_stem().unwrap_or_default());
        if !is_newer(&program, shared.iter().chain([&source]))? {
            println!("compiling {}", source.strip_prefix(&workspace.root).unwrap_or(&source).display());
            process::run(&mut compile(workspace, &cc, &source, &program))?;
        }
    }
    Ok(())
}

/// What every example is made from beside its source; this program is among it, for the flags are in it.
fn shared_inputs(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let mut inputs = files_in(&workspace.root.join("include"), ".h")?;
    inputs.extend(files_in(&workspace.root.join("examples/c"), ".h")?);
    inputs.extend([workspace.library(), env::current_exe().context("finding this program")?]);
    Ok(inputs)
}

fn is_newer<'a>(output: &Path, inputs: impl Iterator<Item = &'a PathBuf>) -> Result<bool> {
    let Ok(built) = modified(output) else { return Ok(false) };
    for input in inputs {
        if modified(input)? >= built {
            return Ok(false);
        }
    }
    Ok(true)
}

fn modified(path: &Path) -> Result<SystemTime> {
    let time = fs::metadata(path).and_then(|metadata| metadata.modified());
    time.with_context(|| format!("looking at {}", path.display()))
}

fn compile(workspace: &Workspace, cc: &Command, source: &Path, program: &Path) -> Command {
    let lib_dir = workspace.lib_dir().display().to_string();
    let mut command = Command::new(cc.get_program());
    command.args(cc.get_args()).current_dir(&workspace.root);
    command.args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Iinclude", "-o"]);
    command.arg(program).arg(source);
    command.args([format!("-L{lib_dir}"), "-lreactor".into(), format!("-Wl,-rpath,{lib_dir}")]);
    if cfg!(target_os = "linux") {
        // cargo puts target/debug in LD_LIBRARY_PATH for what it runs, tests and this program too; the debug library
        // there would come before a DT_RUNPATH, and does not come before a DT_RPATH (ld.so(8)).
        command.arg("-Wl,--disable-new-dtags");
    }
    command
}
