//! The programs that we do not bring along, each with what to install if it is missing. Runs them only to see that they
//! are there.

use std::env;
use std::io::ErrorKind;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// `cargo`, to be run at the root.
pub(crate) fn cargo<const N: usize>(workspace: &Workspace, args: [&str; N]) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(args).current_dir(&workspace.root);
    cargo
}

/// The C compiler: `CC`, else `cc`.
pub(crate) fn cc(workspace: &Workspace) -> Result<Command> {
    let remedy = "install a C compiler (Debian: the package build-essential; Fedora: gcc; macOS: xcode-select --install), \
                  or name yours in the environment variable CC";
    found(workspace, &env::var("CC").unwrap_or("cc".into()), remedy)
}

/// The C++ compiler: `CXX`, else `c++`.
pub(crate) fn cxx(workspace: &Workspace) -> Result<Command> {
    let remedy = "install a C++ compiler (Debian: the package build-essential; Fedora: gcc-c++; macOS: xcode-select \
                  --install), or name yours in the environment variable CXX";
    found(workspace, &env::var("CXX").unwrap_or("c++".into()), remedy)
}

/// Node.js.
pub(crate) fn node(workspace: &Workspace) -> Result<Command> {
    found(workspace, "node", "install Node.js 20 or newer, so that `node` is on the PATH")
}

/// npm, which comes with Node.js.
pub(crate) fn npm(workspace: &Workspace) -> Result<Command> {
    found(
        workspace,
        "npm",
        "install Node.js 20 or newer with its npm, so that `npm` is on the PATH (Debian: the package npm)",
    )
}

/// What a sanitizer needs beside Rust.
pub(crate) fn of_sanitizer(workspace: &Workspace, program: &'static str) -> Result<()> {
    let remedy = format!("the C suite needs it here; install the package {program}");
    found(workspace, program, &remedy).map(drop)
}

/// The command of this line, which may carry arguments ("ccache gcc"), to be run at the root.
fn found(workspace: &Workspace, line: &str, remedy: &str) -> Result<Command> {
    let mut words = line.split_whitespace();
    let program = words.next().with_context(|| format!("an empty name of a program: {remedy}"))?;
    let probe = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if probe.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        bail!("there is no program `{program}`: {remedy}");
    }
    let mut command = Command::new(program);
    command.args(words).current_dir(&workspace.root);
    Ok(command)
}
