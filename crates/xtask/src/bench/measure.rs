//! Takes one sample: starts a server, puts load on it, reads the figures, ends both. Knows nothing of other samples.
//! Every process has a deadline, and is killed when it passes.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use serde_json::Value;

use crate::bench::programs::{Program, Programs};
use crate::bench::sample::{Metric, Sample};
use crate::bench::scene::{Contender, Load};
use crate::cluster;
use crate::process::{Running, Said};
use crate::workspace::Workspace;

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Beyond the time that a load is told to run: it waits for replies for a while, and stops by itself if there are none.
const LOAD_LIMIT: Duration = Duration::from_secs(60);
const CLUSTER_LIMIT: Duration = Duration::from_secs(160);
/// Until a server in C runs at its usual speed, and until one in JavaScript is compiled.
const WARMUP_MS: u64 = 150;
const WARMUP_NODE_MS: u64 = 700;

/// What samples are taken with.
pub(crate) struct Setting<'a> {
    pub(crate) workspace: &'a Workspace,
    pub(crate) programs: &'a Programs,
    /// How long one is.
    pub(crate) sample: Duration,
    pub(crate) cluster: &'a cluster::Load,
}

/// A server that serves.
struct Server {
    running: Running,
    address: String,
    /// All processes that it consists of.
    processes: Vec<u32>,
}

/// One sample.
pub(crate) fn take(setting: &Setting<'_>, it: &Contender) -> Result<Sample> {
    let programs = setting.programs;
    let server = start(programs, it)?;
    match &it.load {
        Load::Run(arguments) => run(programs, it, server, arguments, Some(setting.sample)),
        Load::Count(arguments) => run(programs, it, server, arguments, None),
        Load::Wrk { connections } => wrk(programs, it, &server, *connections, setting.sample),
        Load::Connect { connections } => connect(programs, it, &server, *connections),
        Load::Hold { connections, touched } => hold(programs, it, &server, *connections, *touched),
        Load::ClusterClient => cluster_client(setting, &server),
        Load::BusyMainThread => busy_main_thread(programs, it, &server, setting.sample),
    }
}

fn start(programs: &Programs, it: &Contender) -> Result<Server> {
    let running = Running::start(&it.name, &mut programs.server(it.program, it.work, it.pinned))?;
    let deadline = Instant::now() + START_LIMIT;
    let mut processes = vec![running.id()];
    loop {
        match running.said(deadline) {
            Said::Line(line) => {
                if let Some(address) = line.strip_prefix(it.program.ready()) {
                    return Ok(Server { address: address.into(), processes, running });
                }
                if let Some(ids) = line.strip_prefix("processes ") {
                    processes = ids.split(',').map(str::parse).collect::<Result<_, _>>()?;
                }
            }
            Said::Nothing => bail!("{} did not serve within {START_LIMIT:?}", it.name),
            Said::End => bail!("{} ended before it served", it.name),
        }
    }
}

fn run(
    programs: &Programs,
    it: &Contender,
    server: Server,
    arguments: &[String],
    time: Option<Duration>,
) -> Result<Sample> {
    let mut load = programs.load(it.pinned);
    let processes: Vec<_> = server.processes.iter().map(u32::to_string).collect();
    load.args(["run", &server.address, "--json", "--server-pid", &processes.join(",")]).args(arguments);
    if let Some(time) = time {
        let warmup_ms = if it.program.needs_node() { WARMUP_NODE_MS } else { WARMUP_MS };
        load.args(["--duration-ms", &time.as_millis().to_string(), "--warmup-ms", &warmup_ms.to_string()]);
    }
    let report = last_line(&mut load, LOAD_LIMIT + time.unwrap_or_default())?;
    let report: Value = serde_json::from_str(&report).with_context(|| format!("reading `{report}`"))?;
    let sample = Sample::of_load(&report)?;
    match it.program {
        Program::Multi { .. } => Ok(sample.with(Metric::Unevenness, unevenness(server)?)),
        _ => Ok(sample),
    }
}

/// Stops the server, which then says how many connections each reactor had.
fn unevenness(server: Server) -> Result<f64> {
    server.running.terminate()?;
    let split = server.running.line_after("split: ", Instant::now() + STOP_LIMIT)?;
    let counts = split.split_whitespace().map(str::parse::<f64>).collect::<Result<Vec<_>, _>>();
    let counts = counts.with_context(|| format!("reading `split: {split}`"))?;
    let (most, fewest) = counts.iter().fold((0.0, f64::MAX), |(most, fewest), &n| (n.max(most), n.min(fewest)));
    Ok(most - fewest)
}

fn wrk(programs: &Programs, it: &Contender, server: &Server, connections: u32, time: Duration) -> Result<Sample> {
    let mut wrk = programs.wrk(it.pinned);
    // wrk counts in whole seconds.
    let seconds = time.as_secs_f64().round().max(1.0);
    wrk.args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), &format!("http://{}/", server.address)]);
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(server.running.id())?))?;
    let cpu_us = || clock.now().map(|time| Duration::from(time).as_secs_f64() * 1e6);
    let before = (cpu_us()?, children_cpu()?);
    let (lines, status) = lines(&mut wrk, LOAD_LIMIT + time)?;
    let after = (cpu_us()?, children_cpu()?);
    if !status || lines.iter().any(|line| line.contains("Socket errors") || line.contains("Non-2xx")) {
        bail!("wrk found errors: {}", lines.join("; "));
    }
    let numbers = lines.iter().find_map(|line| {
        let (requests, rest) = line.trim().split_once(" requests in ")?;
        let seconds: f64 = rest.split(',').next()?.strip_suffix('s')?.parse().ok()?;
        Some((requests.parse::<f64>().ok()?, seconds))
    });
    let (requests, seconds) = numbers.with_context(|| format!("no requests in: {}", lines.join("; ")))?;
    Ok(Sample::of(Metric::Rate, requests / seconds)
        .with(Metric::Cpu, (after.0 - before.0) / requests)
        .with(Metric::LoadBusy, (after.1 - before.1).as_secs_f64() / seconds))
}

/// CPU time of the children that we have waited for.
fn children_cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("reading the CPU time of children")?;
    let time = usage.user_time() + usage.system_time();
    Ok(Duration::from_micros(u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec())?))
}

fn cluster_client(setting: &Setting<'_>, server: &Server) -> Result<Sample> {
    let address = server.address.parse().with_context(|| format!("the address `{}`", server.address))?;
    let summary = cluster::run(setting.workspace, address, setting.cluster, CLUSTER_LIMIT, |_| {})?;
    let wrong = (summary.mismatches + summary.errors) as f64;
    Ok(Sample::of(Metric::Seconds, summary.seconds).with(Metric::Wrong, wrong))
}

fn connect(programs: &Programs, it: &Contender, server: &Server, connections: u32) -> Result<Sample> {
    let mut load = programs.load(it.pinned);
    load.args(["connect", &server.address, "--json", "--connections", &connections.to_string()]);
    let report = last_line(&mut load, LOAD_LIMIT * 2)?;
    let report: Value = serde_json::from_str(&report).with_context(|| format!("reading `{report}`"))?;
    let seconds = report["seconds"].as_f64().with_context(|| format!("no seconds in {report}"))?;
    Ok(Sample::of(Metric::Seconds, seconds))
}

fn hold(programs: &Programs, it: &Contender, server: &Server, connections: u32, touched: bool) -> Result<Sample> {
    let before = memory(server.running.id())?;
    let mut load = programs.load(it.pinned);
    load.args(["hold", &server.address, "--connections", &connections.to_string()]);
    if touched {
        load.arg("--touch");
    }
    let load = Running::start("reactor-load", &mut load)?;
    load.line_after("holding ", Instant::now() + LOAD_LIMIT)?;
    // A server may accept after the connect, and gives back what a connection used about a second after it has gone
    // quiet: memory is read when it has stopped changing for a while.
    let mut after = memory(server.running.id())?;
    let mut steady_since = Instant::now();
    let deadline = Instant::now() + Duration::from_secs(10);
    while steady_since.elapsed() < Duration::from_secs(2) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
        let now = memory(server.running.id())?;
        if now != after {
            (after, steady_since) = (now, Instant::now());
        }
    }
    Ok(Sample::of(Metric::Memory, after.saturating_sub(before) as f64 / f64::from(connections)))
}

/// Resident memory of a process in bytes, exact where the counters of /proc/PID/status are not (proc_pid_status(5)).
fn memory(id: u32) -> Result<u64> {
    let path = format!("/proc/{id}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).with_context(|| format!("no Rss in {path}"))?;
    let kb: u64 = line.trim().trim_end_matches(" kB").parse().with_context(|| format!("Rss of {path}: `{line}`"))?;
    Ok(kb * 1024)
}

/// Requests on many connections, one of which keeps the handler busy for 200 ms at a time, and connects all the while.
/// The figures are those of the busy time with the most.
fn busy_main_thread(programs: &Programs, it: &Contender, server: &Server, time: Duration) -> Result<Sample> {
    let mut load = programs.load(false);
    let duration_ms = time.as_millis().max(1_500).to_string();
    load.args(["run", &server.address, "--connections", "64", "--duration-ms", &duration_ms, "--json"]);
    load.args(["--slow-connections", "1", "--slow-us", "200000", "--slow-kind", "spin", "--slow-pause-ms", "200"]);
    let load = Running::start("reactor-load", &mut load)?;
    let deadline = Instant::now() + LOAD_LIMIT;
    loop {
        let mut connects = programs.load(false);
        connects.args(["connect", &server.address, "--connections", "500", "--json"]);
        last_line(&mut connects, LOAD_LIMIT)?;
        match load.said(Instant::now()) {
            Said::Line(_) | Said::End => break,
            Said::Nothing if Instant::now() > deadline => bail!("the load on {} did not end", it.name),
            Said::Nothing => {}
        }
    }
    let mut most = (0.0_f64, 0.0_f64);
    while let Said::Line(line) = server.running.said(Instant::now()) {
        let Some(rest) = line.strip_prefix("busy: accepted=") else { continue };
        let (accepted, read) = rest.split_once(" read=").with_context(|| format!("reading `{line}`"))?;
        most = (most.0.max(accepted.parse()?), most.1.max(read.parse()?));
    }
    Ok(Sample::of(Metric::AcceptedBusy, most.0).with(Metric::ReadBusy, most.1))
}

/// The last line of a program that must end well and in time.
fn last_line(command: &mut Command, limit: Duration) -> Result<String> {
    let (lines, status) = lines(command, limit)?;
    if !status {
        bail!("the load generator failed");
    }
    lines.into_iter().next_back().context("the load generator printed nothing")
}

/// All lines of a program that must end in time, and whether it ended well.
fn lines(command: &mut Command, limit: Duration) -> Result<(Vec<String>, bool)> {
    let deadline = Instant::now() + limit;
    let running = Running::start("the load", command)?;
    let mut lines = Vec::new();
    loop {
        match running.said(deadline) {
            Said::Line(line) => lines.push(line),
            Said::Nothing => bail!("the load did not end within {limit:?}"),
            Said::End => break,
        }
    }
    Ok((lines, running.wait(deadline + STOP_LIMIT)?.success()))
}
