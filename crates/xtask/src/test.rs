//! `cargo xtask test`: every suite, against the release library and the C examples.

use anyhow::Result;

use crate::build;
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

    let clients = files_in(&workspace.root.join("clients/test"), ".test.mjs")?;
    if !clients.is_empty() {
        let node = tools::node(workspace).map(|mut node| {
            node.arg("--test").args(args.filter.iter().map(|filter| format!("--test-name-pattern={filter}")));
            node.args(clients);
            node
        });
        steps.command("node: clients", node);
    }
    steps.finish()
}
