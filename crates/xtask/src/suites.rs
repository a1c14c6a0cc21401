//! The end-to-end suites as commands: which package, built how, against which library. Knows nothing of what they show.

use std::path::Path;
use std::process::Command;

use crate::tools;
use crate::workspace::Workspace;

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
