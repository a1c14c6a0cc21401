//! `cargo xtask test`: every suite, against the release library, the C examples and the Node package.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::build;
use crate::node_package;
use crate::steps::Steps;
use crate::tools;
use crate::workspace::{Workspace, files_in};

/// Which tests to run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only tests with this in their name
    filter: Option<String>,
}

/// Builds, then runs the suites one after another; the runners' own closing lines tell how many tests there were.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    build::everything(workspace)?;
    let mut steps = Steps::new("xtask test", "suites");

    let mut rust = tools::cargo(workspace, ["test", "--workspace", "--no-fail-fast"]);
    rust.args(&args.filter);
    // The end-to-end package knows nothing of where and how things are built.
    rust.env("REACTOR_ROOT", &workspace.root);
    rust.env("REACTOR_LIB_DIR", workspace.lib_dir());
    rust.env("REACTOR_EXAMPLES_DIR", workspace.examples_dir());
    steps.command("rust: units, properties, documentation, end to end", Ok(rust));

    for (name, folder) in [("node: clients", "clients/test"), ("node: the package", "bindings/node/test")] {
        let files = files_in(&workspace.root.join(folder), ".test.mjs")?;
        if !files.is_empty() {
            steps.command(name, node_tests(workspace, args, files));
        }
    }
    let mend = "the named line of bindings/node/index.d.ts or test/types; or the way to the npm registry";
    steps.step("node: types of the package", mend, || node_package::check_types(workspace));
    steps.finish()
}

fn node_tests(workspace: &Workspace, args: &Args, files: Vec<PathBuf>) -> Result<Command> {
    let mut node = tools::node(workspace)?;
    node.arg("--test").args(args.filter.iter().map(|filter| format!("--test-name-pattern={filter}")));
    node.args(files);
    Ok(node)
}
