//! The end-to-end suites as commands: which package, built how, against which library. Knows nothing of what they show.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::tools;
use crate::workspace::{Workspace, entries};

/// `cargo test` of one suite of the package `reactor-tests` against the release library; arguments after `--` are the
/// caller's to add.
pub(crate) fn end_to_end(workspace: &Workspace, suites: &[&str]) -> Command {
    let mut command = tools::cargo(workspace, ["test", "--release", "--no-fail-fast", "-p", "reactor-tests"]);
    for suite in suites {
        command.args(["--test", suite]);
    }
    against(&mut command, &workspace.root, &workspace.lib_dir());
    command.env("REACTOR_EXAMPLES_DIR", workspace.examples_dir());
    command
}

/// Lets the suites find the sources at `root` and the library in `lib_dir`.
pub(crate) fn against(command: &mut Command, root: &Path, lib_dir: &Path) {
    command.env("REACTOR_ROOT", root).env("REACTOR_LIB_DIR", lib_dir);
}

/// The names of all suites in Rust, of every package: the files, and the folders with a `main.rs`, in its `tests`.
pub(crate) fn rust(workspace: &Workspace) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for member in members(workspace)? {
        for path in entries(&workspace.root.join(member).join("tests"))? {
            if path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").exists() {
                names.push(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    // Two packages may have one of the same name; cargo runs both by it.
    names.dedup();
    Ok(names)
}

/// The folders of the workspace's packages, as its manifest has them in one line.
fn members(workspace: &Workspace) -> Result<Vec<String>> {
    let manifest = workspace.root.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).with_context(|| format!("reading {}", manifest.display()))?;
    let line =
        text.lines().find_map(|line| line.strip_prefix("members = [")).context("the workspace has no members")?;
    Ok(line.split('"').skip(1).step_by(2).map(String::from).collect())
}
