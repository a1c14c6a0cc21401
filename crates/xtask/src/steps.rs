//! A list of checks that all run, whatever the earlier ones found, and are summed up at the end. Knows none of them.

use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::process;

/// The steps of one task so far.
pub(crate) struct Steps {
    task: &'static str,
    plural: &'static str,
    begun: Instant,
    failed: Vec<String>,
}

impl Steps {
    /// None yet; `plural` is what the closing line calls them.
    pub(crate) fn new(task: &'static str, plural: &'static str) -> Steps {
        Steps { task, plural, begun: Instant::now(), failed: Vec::new() }
    }

    /// Runs one; if it fails, says how to mend that.
    pub(crate) fn step(&mut self, name: &str, mend: &str, body: impl FnOnce() -> Result<()>) {
        println!("== {name}");
        if let Err(error) = body() {
            println!("FAILED: {name}: {error:#}\nmend: {mend}");
            self.failed.push(name.into());
        }
    }

    /// Runs one that is a command, which is also what shows the failure again; `command` may be an error, if there is
    /// no such program.
    pub(crate) fn command(&mut self, name: &str, command: Result<Command>) {
        println!("== {name}");
        if let Err(error) = command.and_then(|mut command| process::run(&mut command)) {
            println!("FAILED: {name}: {error:#}");
            self.failed.push(name.into());
        }
    }

    /// The closing line, or the list of the failed.
    pub(crate) fn finish(self) -> Result<()> {
        let Steps { task, plural, begun, failed } = self;
        if !failed.is_empty() {
            bail!("{task}: failed: {}", failed.join(", "));
        }
        println!("{task}: all {plural} passed in {:.0} s", begun.elapsed().as_secs_f64());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_runs_and_the_failed_are_listed() {
        let mut steps = Steps::new("xtask lint", "checks");
        let mut ran = 0;
        for (name, fails) in [("first", true), ("second", false), ("third", true)] {
            steps.step(name, "it", || {
                ran += 1;
                if fails { bail!("no") } else { Ok(()) }
            });
        }
        assert_eq!(ran, 3);
        assert_eq!(steps.finish().expect_err("two have failed").to_string(), "xtask lint: failed: first, third");
    }
}
