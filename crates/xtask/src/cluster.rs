//! The cluster client as a process: starts it, follows it to its end, reads its summary. Knows nothing of the server
//! that it talks to.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{Running, Said};
use crate::tools;
use crate::workspace::Workspace;

const PREFIX: &str = "summary: ";

/// How often `progress` is told that it still runs.
const TICK: Duration = Duration::from_millis(100);

/// How much of its time the client keeps to say which connections did not end: it gives its processes 30 s for that.
const REPORT: Duration = Duration::from_secs(40);

/// What the client says of itself in its last line.
#[derive(Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) connections: u64,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) mismatches: u64,
    pub(crate) errors: u64,
    pub(crate) seconds: f64,
}

impl Summary {
    /// Reads `summary: connections=N messages=N bytes=N mismatches=N errors=N seconds=S`, in whatever order.
    fn parse(line: &str) -> Result<Summary> {
        let fields = line.strip_prefix(PREFIX).with_context(|| format!("no summary: `{line}`"))?;
        let field = |name: &str| {
            let found = fields.split_whitespace().find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            found.with_context(|| format!("no {name} in `{line}`"))
        };
        let count = |name: &str| field(name)?.parse().with_context(|| format!("{name} in `{line}`"));
        Ok(Summary {
            connections: count("connections")?,
            messages: count("messages")?,
            bytes: count("bytes")?,
            mismatches: count("mismatches")?,
            errors: count("errors")?,
            seconds: field("seconds")?.parse().with_context(|| format!("seconds in `{line}`"))?,
        })
    }

    /// What is wrong with a run that should have had this many connections; nothing if all is well.
    pub(crate) fn faults(&self, connections: u64) -> Vec<String> {
        let mut faults = Vec::new();
        if self.connections != connections {
            faults.push(format!("{} connections of {connections}", self.connections));
        }
        if self.mismatches > 0 {
            faults.push(format!("{} mismatches", self.mismatches));
        }
        if self.errors > 0 {
            faults.push(format!("{} errors", self.errors));
        }
        faults
    }
}

/// How many connections, and from how many processes.
#[derive(clap::Args)]
pub(crate) struct Load {
    /// Connections of each process, all opened at once
    #[arg(long, default_value_t = 100)]
    connections: u64,
    /// Processes of the client
    #[arg(long, default_value_t = 10)]
    processes: u64,
}

impl Load {
    /// Connections of all processes together.
    pub(crate) fn total(&self) -> u64 {
        self.connections.saturating_mul(self.processes)
    }
}

/// Runs the client to its end. Its own exit status says no more than its summary, which is due in either case.
pub(crate) fn run(
    workspace: &Workspace,
    server: SocketAddr,
    load: &Load,
    limit: Duration,
    mut progress: impl FnMut(Duration),
) -> Result<Summary> {
    let mut command = tools::node(workspace)?;
    command.args(["clients/tcp-client.mjs", "--quiet"]);
    command.args([format!("--host={}", server.ip()), format!("--port={}", server.port())]);
    command.args([format!("--connections={}", load.connections), format!("--processes={}", load.processes)]);
    command.arg(format!("--timeout-s={}", limit.saturating_sub(REPORT).as_secs()));
    let begun = Instant::now();
    let deadline = begun + limit;
    let client = Running::start("the cluster client", &mut command)?;
    let mut last = String::new();
    loop {
        match client.said(deadline.min(Instant::now() + TICK)) {
            Said::Line(line) => last = line,
            Said::Nothing if Instant::now() >= deadline => bail!("the cluster client was not done in {limit:?}"),
            Said::Nothing => progress(begun.elapsed()),
            Said::End => break,
        }
    }
    let status = client.wait(deadline)?;
    let summary = Summary::parse(&last).with_context(|| format!("the cluster client ended ({status})"))?;
    if !status.success() && summary.faults(load.total()).is_empty() {
        bail!("the cluster client ended ({status}) with a summary that finds no fault: {last}");
    }
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "summary: connections=1000 messages=2000 bytes=54321 mismatches=0 errors=0 seconds=8.42";

    #[test]
    fn a_summary_is_read_field_by_field() -> Result<()> {
        let summary = Summary::parse(LINE)?;
        let expected =
            Summary { connections: 1000, messages: 2000, bytes: 54321, mismatches: 0, errors: 0, seconds: 8.42 };
        assert_eq!(summary, expected);
        Ok(())
    }

    #[test]
    fn what_is_no_summary_is_refused_with_what_is_wrong() {
        for (line, says) in [
            ("", "no summary"),
            ("connections=1000", "no summary"),
            ("summary: connections=1000", "no messages"),
            (&LINE.replace("mismatches=", "matches="), "no mismatches"),
            (&LINE.replace("bytes=54321", "bytes=-1"), "bytes in"),
            (&LINE.replace("seconds=8.42", "seconds=soon"), "seconds in"),
        ] {
            let error = Summary::parse(line).expect_err(line).to_string();
            assert!(error.contains(says), "{line}: {error}");
        }
    }

    #[test]
    fn missing_connections_mismatches_and_errors_are_faults() -> Result<()> {
        let summary = Summary::parse(LINE)?;
        assert_eq!(summary.faults(1000), [""; 0]);
        assert_eq!(summary.faults(1001), ["1000 connections of 1001"]);
        let summary = Summary { mismatches: 2, errors: 3, ..summary };
        assert_eq!(summary.faults(1000), ["2 mismatches", "3 errors"]);
        Ok(())
    }
}
