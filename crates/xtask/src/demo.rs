//! `cargo xtask demo`: the cluster client against the C echo server in each mode and against the Node echo server, and
//! the figures in a table.

use std::io::{ErrorKind, IsTerminal, Write, stdout};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::build;
use crate::cluster::{self, Load, Summary};
use crate::process::Running;
use crate::table::table;
use crate::tools;
use crate::workspace::Workspace;

/// Where the client looks for a server by default.
const USUAL: &str = "127.0.0.1:3001";
const ANY_PORT: &str = "127.0.0.1:0";
const NODE_ECHO: &str = "examples/node/echo.mjs";

const START_LIMIT: Duration = Duration::from_secs(10);
const RUN_LIMIT: Duration = Duration::from_secs(160);
/// Beyond the 10 s that the examples give a drain.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// Where there is no terminal, so no line to write over.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// How much work it is.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long the compute step of one request takes, with workers and in Node.js
    #[arg(long, default_value_t = 100)]
    compute_ms: u64,
    #[command(flatten)]
    load: Load,
}

/// Which echo server.
enum Program {
    C,
    /// Its handler a function on the main thread, which awaits a timer.
    NodeFunction,
    /// Its handler a module on worker threads, which await timers.
    NodeModule,
}

/// One way to run the server.
struct Setup {
    name: &'static str,
    program: Program,
    mode: &'static str,
    workers: Option<u64>,
    compute_ms: u64,
}

/// What came of it.
struct Outcome {
    setup: Setup,
    summary: Summary,
    drain_report: String,
}

/// Builds, runs each mode in turn, shows the table; an error if anything was wrong in any of them.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    build::everything(workspace)?;
    let mut outcomes = Vec::new();
    for setup in setups(args.compute_ms) {
        let name = setup.name;
        outcomes.push(measure(workspace, setup, &args.load).with_context(|| format!("the server {name}"))?);
    }
    show(&outcomes);

    let faults = outcomes.iter().map(|outcome| (outcome.setup.name, outcome.summary.faults(args.load.total())));
    let faults: Vec<_> = faults.filter(|(_, faults)| !faults.is_empty()).collect();
    if !faults.is_empty() {
        let told: Vec<_> = faults.iter().map(|(name, faults)| format!("{name}: {}", faults.join(", "))).collect();
        bail!("{}", told.join("; "));
    }
    Ok(())
}

fn setups(compute_ms: u64) -> [Setup; 5] {
    let setup = |name, program, mode| Setup { name, program, mode, workers: None, compute_ms: 0 };
    [
        Setup { workers: Some(12), compute_ms, ..setup("C pooled", Program::C, "pooled") },
        setup("C single", Program::C, "single"),
        setup("C multi", Program::C, "multi"),
        Setup { compute_ms, ..setup("Node function", Program::NodeFunction, "single") },
        Setup { workers: Some(2), compute_ms, ..setup("Node module", Program::NodeModule, "pooled") },
    ]
}

/// Starts the server, runs the client against it, stops it.
fn measure(workspace: &Workspace, setup: Setup, load: &Load) -> Result<Outcome> {
    let server = Running::start("the echo server", &mut echo(workspace, &setup, free_address()?)?)?;
    let address = server.line_after("listening on ", Instant::now() + START_LIMIT)?;
    let address: SocketAddr = address.parse().with_context(|| format!("the address `{address}`"))?;

    println!("{}: {} connections to {address}", setup.name, load.total());
    let mut progress = Progress { next: PROGRESS_EVERY, is_terminal: stdout().is_terminal() };
    let summary = cluster::run(workspace, address, load, RUN_LIMIT, |elapsed| progress.tick(elapsed));
    progress.end();
    let summary = summary?;

    server.terminate()?;
    let deadline = Instant::now() + STOP_LIMIT;
    let drain_report = server.line_after("stopped: ", deadline)?;
    let status = server.wait(deadline)?;
    if !status.success() {
        bail!("the echo server ended: {status}");
    }
    Ok(Outcome { setup, summary, drain_report })
}

fn echo(workspace: &Workspace, setup: &Setup, address: &str) -> Result<Command> {
    let node = |args: &[&str]| {
        tools::node(workspace).map(|mut node| {
            node.args(args);
            node
        })
    };
    let mut command = match setup.program {
        Program::C => Command::new(workspace.examples_dir().join("echo")),
        Program::NodeFunction => node(&[NODE_ECHO])?,
        Program::NodeModule => node(&[NODE_ECHO, "--module"])?,
    };
    command.args(["--addr", address, "--mode", setup.mode, "--compute-ms", &setup.compute_ms.to_string()]);
    if let Some(workers) = setup.workers {
        command.args(["--workers", &workers.to_string()]);
    }
    Ok(command)
}

/// The usual address, or one with whatever port is free.
fn free_address() -> Result<&'static str> {
    match TcpListener::bind(USUAL) {
        Ok(_) => Ok(USUAL),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            println!("{USUAL} is taken, so the server takes a free port");
            Ok(ANY_PORT)
        }
        Err(error) => Err(error).with_context(|| format!("binding {USUAL}")),
    }
}

fn show(outcomes: &[Outcome]) {
    let head = ["server", "compute", "connections", "messages", "bytes", "seconds", "mismatches", "errors"];
    let mut rows = vec![head.map(String::from).to_vec()];
    rows.extend(outcomes.iter().map(|Outcome { setup, summary, .. }| {
        let compute = format!("{} ms", setup.compute_ms);
        let seconds = format!("{:.2}", summary.seconds);
        let counts = [summary.connections, summary.messages, summary.bytes].map(|count| count.to_string());
        let faults = [summary.mismatches, summary.errors].map(|count| count.to_string());
        [vec![setup.name.into(), compute], counts.to_vec(), vec![seconds], faults.to_vec()].concat()
    }));
    println!("\n{}\n", table(&rows));
    for Outcome { setup, drain_report, .. } in outcomes {
        println!("{} stopped: {drain_report}", setup.name);
    }
}

/// Shows that something goes on: on a terminal in one line, elsewhere in a line now and then.
struct Progress {
    next: Duration,
    is_terminal: bool,
}

impl Progress {
    fn tick(&mut self, elapsed: Duration) {
        if self.is_terminal {
            print!("\r\x1b[K{:.1} s", elapsed.as_secs_f64());
            // Only a line that is seen late: nothing to be done about it.
            let _ = stdout().flush();
        } else if elapsed >= self.next {
            println!("{:.0} s", elapsed.as_secs_f64());
            self.next = elapsed + PROGRESS_EVERY;
        }
    }

    fn end(&self) {
        if self.is_terminal {
            print!("\r\x1b[K");
        }
    }
}
