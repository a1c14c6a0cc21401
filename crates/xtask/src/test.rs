//! `cargo xtask test`: every suite, against the release library, the C examples and the Node package; or those tests alone
//! that a name selects.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::build;
use crate::node_package;
use crate::process;
use crate::steps::Steps;
use crate::suites;
use crate::tools;
use crate::workspace::{Workspace, files_in};

/// The suites in JavaScript, by what they are called and where they lie.
const NODE_SUITES: [(&str, &str); 2] = [("node: clients", "clients/test"), ("node: the package", "bindings/node/test")];

/// Which tests to run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only test files, and tests of other files, with this in their name
    filter: Option<String>,
}

/// Builds, then runs the suites one after another; the runners' own closing lines tell how many tests there were.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    build::everything(workspace)?;
    let mut steps = Steps::new("xtask test", "suites");
    if let Some(name) = &args.filter {
        named(workspace, &mut steps, name)?;
        return steps.finish();
    }
    steps.command("rust: units, properties, documentation, end to end", Ok(rust(workspace)));
    for (title, folder) in NODE_SUITES {
        steps.command(title, node(workspace, None, &files_in(&workspace.root.join(folder), ".test.mjs")?));
    }
    let mend = "the named line of bindings/node/index.d.ts or test/types; or the way to the npm registry";
    steps.step("node: types of the package", mend, || node_package::check_types(workspace));
    steps.finish()
}

/// The test files with `name` in their name, whole; of all others the tests with `name` in theirs. That there is none at
/// all is a failure, for the name was mistyped.
fn named(workspace: &Workspace, steps: &mut Steps, name: &str) -> Result<()> {
    let mut ran = 0;
    let mut counted = |steps: &mut Steps, title: &str, command: Result<Command>| {
        steps.step(title, "what failed above", || {
            process::run_heard(&mut command?, |line| {
                ran += tests_in(line);
                // Node lists all that it was not asked for.
                !line.ends_with("# test name does not match pattern")
            })
        });
    };

    let (whole, others): (Vec<_>, Vec<_>) =
        suites::rust(workspace)?.into_iter().partition(|suite| suite.contains(name));
    if !whole.is_empty() {
        counted(steps, &format!("rust: {}", whole.join(", ")), Ok(rust_of(workspace, &[], &whole)));
    }
    let mut command = rust_of(workspace, &["--lib", "--bins"], &others);
    command.arg(name);
    counted(steps, &format!("rust: tests of other files, {name} in their name"), Ok(command));
    let mut command = rust_of(workspace, &["--doc"], &[]);
    command.arg(name);
    counted(steps, &format!("rust: documentation, {name} in its name"), Ok(command));

    for (title, folder) in NODE_SUITES {
        let files = files_in(&workspace.root.join(folder), ".test.mjs")?;
        // All of the path counts, so that `node` selects the package's suites, as it does the Rust tests of them.
        let is_named = |file: &PathBuf| shown(workspace, file).contains(name);
        let (whole, others): (Vec<_>, Vec<_>) = files.into_iter().partition(is_named);
        if !whole.is_empty() {
            counted(steps, title, node(workspace, None, &whole));
        }
        if !others.is_empty() {
            let title = format!("{title}: tests of other files, {name} in their name");
            counted(steps, &title, node(workspace, Some(name), &others));
        }
    }
    if ran == 0 {
        let mend = "the name: it is part of that of a test, or of a file of tests";
        steps.step("something was run", mend, || bail!("no test and no test file has `{name}` in its name"));
    }
    Ok(())
}

/// How many tests a runner says have run, if this is the line in which it sums up: libtest's `test result: ok. 3 passed; 0
/// failed; ...`, or one of Node's `# pass 3` and `# fail 0`, with another sign in front where it writes for people.
fn tests_in(line: &str) -> u64 {
    let numbers_before = |text: &str, word: &str| {
        let before = text.split("; ").find_map(|part| part.strip_suffix(word));
        before.and_then(|before| before.split(' ').next_back()?.parse().ok()).unwrap_or(0)
    };
    if let Some(result) = line.strip_prefix("test result: ") {
        return numbers_before(result, " passed") + numbers_before(result, " failed");
    }
    let mut words = line.split(' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some("#" | "\u{2139}"), Some("pass" | "fail"), Some(count), None) => count.parse().unwrap_or(0),
        _ => 0,
    }
}

/// The file as seen from the root.
fn shown(workspace: &Workspace, file: &Path) -> String {
    file.strip_prefix(&workspace.root).unwrap_or(file).to_string_lossy().into_owned()
}

fn rust(workspace: &Workspace) -> Command {
    let mut rust = tools::cargo(workspace, ["test", "--workspace", "--no-fail-fast"]);
    // The end-to-end package knows nothing of where and how things are built.
    suites::against(&mut rust, &workspace.root, &workspace.lib_dir());
    rust.env("REACTOR_EXAMPLES_DIR", workspace.examples_dir());
    rust
}

/// As [`rust`], of these targets and suites alone.
fn rust_of(workspace: &Workspace, targets: &[&str], suites: &[String]) -> Command {
    let mut rust = rust(workspace);
    rust.args(targets);
    for suite in suites {
        rust.args(["--test", suite]);
    }
    rust
}

fn node(workspace: &Workspace, name: Option<&str>, files: &[PathBuf]) -> Result<Command> {
    let mut node = tools::node(workspace)?;
    node.args(["--test", "--test-reporter=spec"]);
    node.args(name.map(|name| format!("--test-name-pattern={name}")));
    node.args(files);
    Ok(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_that_have_run_are_counted_whichever_runner_tells() {
        let result =
            "test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 90 filtered out; finished in 0.10s";
        assert_eq!(tests_in(result), 4);
        assert_eq!(
            ["# pass 12", "\u{2139} pass 12", "# fail 3", "# tests 15", "# pass"].map(tests_in),
            [12, 12, 3, 0, 0]
        );
        assert_eq!(tests_in("test a_name ... ok"), 0);
    }
}
