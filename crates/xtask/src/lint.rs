//! `cargo xtask lint`: the static checks. Runs no test and starts no server.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::build;
use crate::header;
use crate::mutants;
use crate::node_package;
use crate::process;
use crate::prototypes::{differences, prototypes};
use crate::reliability;
use crate::steps::Steps;
use crate::tools;
use crate::workspace::Workspace;

const HEADER: &str = "include/reactor.h";
/// What C programs may rely on: all of it stays as it is here.
const AGREED_HEADER: &str = "tests/api/reactor.h";

/// Runs all of them, whatever the earlier ones found.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut steps = Steps::new("xtask lint", "checks");
    steps.step("format", "cargo fmt --all", || process::run(&mut tools::cargo(workspace, ["fmt", "--all", "--check"])));
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    steps.command("clippy", Ok(tools::cargo(workspace, clippy)));
    let mut doc = tools::cargo(workspace, ["doc", "--workspace", "--no-deps"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    steps.command("rustdoc", Ok(doc));

    steps.step("header is that of the sources", "cargo xtask header", || {
        build::library(workspace)?;
        header::check(&workspace.root, &workspace.library())
    });
    steps.command("header as C99", with_header(tools::cc(workspace), ["-std=c99", "-xc"]));
    steps.command("header as C11", with_header(tools::cc(workspace), ["-std=c11", "-xc"]));
    steps.command("header as C++17", with_header(tools::cxx(workspace), ["-std=c++17", "-xc++"]));
    let mend = "the declaration in crates/reactor-capi, then cargo xtask header";
    steps.step("header is as agreed", mend, || header_is_as_agreed(&workspace.root));

    let mend = "bindings/node/index.d.ts, so that it takes every program that the agreed API takes";
    steps.step("types of the Node package are as agreed", mend, || node_package::check_agreed_types(workspace));
    let mend = "the patches of tests/mutants that the code has left behind, then cargo xtask mutants";
    steps.step("faults to put back still apply", mend, || mutants::check_patches(workspace));
    let mend = "the document, or the name of the test";
    steps.step("tests that the documents name are there", mend, || reliability::check(workspace));
    for script in workspace.scripts()? {
        let script = script.strip_prefix(&workspace.root).unwrap_or(&script);
        let node = tools::node(workspace).map(|mut node| {
            node.arg("--check").arg(script);
            node
        });
        steps.command(&format!("syntax of {}", script.display()), node);
    }
    steps.finish()
}

/// Compiles the header alone, twice over, as the language that `dialect` says.
fn with_header(compiler: Result<Command>, dialect: [&str; 2]) -> Result<Command> {
    let mut command = compiler?;
    command.args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]).args(dialect);
    command.args(["-include", HEADER, "-include", HEADER, "/dev/null"]);
    Ok(command)
}

fn header_is_as_agreed(root: &Path) -> Result<()> {
    let read = |name: &str| fs::read_to_string(root.join(name)).with_context(|| format!("reading {name}"));
    let found = differences(&prototypes(&read(HEADER)?), &prototypes(&read(AGREED_HEADER)?));
    if !found.is_empty() {
        bail!("{}", found.join("\n    "));
    }
    Ok(())
}
