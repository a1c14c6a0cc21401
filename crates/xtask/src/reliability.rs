//! What the documents on reliability name of the suites is there: the tests, and the files that its commands select. Runs none.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::suites;
use crate::workspace::{Workspace, entries};

const DOCUMENTS: [&str; 2] = ["docs/RELIABILITY.md", "docs/reliability-peer-tests.md"];
/// Where tests are.
const FOLDERS: [&str; 4] = ["tests/tests", "crates", "bindings/node/src", "bindings/node/test"];

/// An error that lists what one of them names and is not there.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let (suites, functions) = (suites::rust(workspace)?, functions(workspace)?);
    for document in DOCUMENTS {
        let path = workspace.root.join(document);
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let missing = missing(&text, &suites, &functions, |file| workspace.root.join(file).exists());
        if !missing.is_empty() {
            bail!("{document}: {}", missing.join("; "));
        }
    }
    Ok(())
}

fn missing(text: &str, suites: &[String], functions: &BTreeSet<String>, is_file: impl Fn(&str) -> bool) -> Vec<String> {
    let mut missing = Vec::new();
    // `cargo xtask test` would take the name for a part of tests' own, of which there may be fewer than are meant; by
    // `node` it selects all that have to do with the package.
    let whole = words_behind(text, "cargo xtask test ").filter(|name| *name != "node");
    for suite in whole.chain(words_behind(text, " --test ").filter(|name| !name.contains('/'))) {
        if !suites.iter().any(|known| known == suite) {
            missing.push(format!("no suite is called {suite}"));
        }
    }
    for file in words(text).filter(|word| word.ends_with(".test.mjs") && !is_file(word)) {
        missing.push(format!("there is no {file}"));
    }
    // Names of settings are in capitals, and what begins with an underscore is the rest of a name.
    let is_test = |word: &&str| {
        !word.starts_with('_')
            && word.matches('_').count() >= 2
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_*".contains(c))
    };
    for test in words(text).filter(is_test) {
        let found = match test.strip_suffix('*') {
            Some(front) => functions.range(front.to_owned()..).next().is_some_and(|name| name.starts_with(front)),
            None => functions.contains(test),
        };
        if !found {
            missing.push(format!("no test is called {test}"));
        }
    }
    missing
}

/// The word behind each place where `front` stands, where one follows in the same code.
fn words_behind<'a>(text: &'a str, front: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(front).skip(1).filter(|rest| !rest.starts_with(' ')).filter_map(|rest| words(rest).next())
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "`,;()|:".contains(c)).filter(|word| !word.is_empty())
}

/// The names of all functions of the folders with tests.
fn functions(workspace: &Workspace) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(|folder| workspace.root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for path in entries(&folder)? {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
                let names = text.lines().filter_map(|line| line.trim_start().split_once("fn ")?.1.split('(').next());
                found.extend(names.map(String::from));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_and_not_there_is_found() {
        let text = "`cargo xtask test stop` | `NO_SUCH_SETTING=1 cargo test -p core --test order pipelined` and `cargo xtask \
                    test node` | `stop` it_ends_in_time, it_ends_* and a/b.test.mjs";
        let (suites, functions) = (["order".into(), "stop".into()], BTreeSet::from(["it_ends_in_time".into()]));
        assert_eq!(missing(text, &suites, &functions, |_| true), [""; 0]);
        let due = ["no suite is called order", "no suite is called stop", "there is no a/b.test.mjs"];
        let mut found = missing(text, &[], &functions, |_| false);
        found.sort();
        assert_eq!(found, due);
        let due = ["no test is called it_ends_in_time", "no test is called it_ends_*"];
        assert_eq!(missing(text, &suites, &BTreeSet::new(), |_| true), due);
    }
}
