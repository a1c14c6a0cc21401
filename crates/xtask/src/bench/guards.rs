//! `cargo xtask bench --check`: what a request costs, without a clock: instructions of our code and system calls,
//! compared with what was recorded. Both are differences between a long and a short run of the same input, so starts
//! and ends do not count.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::bench::machine;
use crate::bench::programs::{Program, Programs, Work};
use crate::process::{self, Running};
use crate::table::table;
use crate::workspace::Workspace;

const FILE: &str = "benchmarks/guards.json";
const LIMIT: Duration = Duration::from_secs(120);
/// Requests of the short and of the long run.
const REQUESTS: [u32; 2] = [2_000, 10_000];
/// By how much of itself a figure may grow.
const INSTRUCTIONS_TOLERANCE: f64 = 0.03;
/// Calls of one request.
const CALLS_TOLERANCE: f64 = 0.1;
/// With workers it depends on who is awake when; the worst case of one request in flight, as it is here, wakes both.
const WORKER_CALLS_TOLERANCE: f64 = 1.0;

/// One server under one load.
struct Case {
    name: &'static str,
    program: Program,
    work: Work,
    load: &'static [&'static str],
    calls_tolerance: f64,
}

const CASES: [Case; 7] = [
    Case { name: "SINGLE, echo", program: Program::Single, ..ECHO },
    Case { name: "SINGLE, echo, 128 connections", program: Program::Single, load: &["--connections", "128"], ..ECHO },
    Case { name: "SINGLE, echo, 16 in flight", program: Program::Single, load: &["--in-flight", "16"], ..ECHO },
    Case { name: "SINGLE, mock HTTP", program: Program::Single, work: Work::Http, load: &["--mode", "http"], ..ECHO },
    Case {
        name: "SINGLE, mock HTTP, 128 connections, 16 in flight",
        program: Program::Single,
        work: Work::Http,
        load: &["--mode", "http", "--connections", "128", "--in-flight", "16"],
        // One read and one write for 16 requests: a turn that is cut short costs another write.
        calls_tolerance: 0.03,
    },
    Case { name: "MULTI, 2 reactors, echo", program: Program::Multi { reactors: 2 }, ..ECHO },
    Case {
        name: "POOLED, 2 workers, echo",
        program: Program::Pooled { workers: 2 },
        calls_tolerance: WORKER_CALLS_TOLERANCE,
        ..ECHO
    },
];
const ECHO: Case =
    Case { name: "", program: Program::Single, work: Work::Echo, load: &[], calls_tolerance: CALLS_TOLERANCE };

/// What was measured or recorded: of each case, by name, `instructions` and `system calls` of one request.
type Figures = BTreeMap<String, BTreeMap<String, f64>>;

/// Compares with the record; an error where something costs more.
pub(crate) fn check(workspace: &Workspace, programs: &Programs) -> Result<()> {
    let path = workspace.root.join(FILE);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let record: Value = serde_json::from_str(&text).with_context(|| format!("reading {FILE}"))?;
    let recorded: Figures = figures_of(&record["cases"])?;
    let measured = measure(programs)?;

    let mut rows = vec![["what", "recorded", "now", "change"].map(String::from).to_vec()];
    let mut worse = Vec::new();
    let mut better = false;
    for case in &CASES {
        for (what, &now) in measured.get(case.name).into_iter().flatten() {
            let name = format!("{}: {what}", case.name);
            let Some(&before) = recorded.get(case.name).and_then(|figures| figures.get(what)) else {
                worse.push(format!("{name} is not recorded"));
                continue;
            };
            let tolerance = if what == INSTRUCTIONS { before * INSTRUCTIONS_TOLERANCE } else { case.calls_tolerance };
            let change = (now / before - 1.0) * 100.0;
            rows.push(vec![name.clone(), format!("{before:.2}"), format!("{now:.2}"), format!("{change:+.1} %")]);
            better |= now < before - tolerance;
            if now > before + tolerance {
                worse.push(format!("{name} rose from {before:.2} to {now:.2} a request ({change:+.1} %)"));
            }
        }
    }
    println!("{}", table(&rows));
    let compiler = record["rustc"].as_str().unwrap_or_default();
    if compiler != machine::rustc() {
        println!("recorded with {compiler}, and this is {}: instructions may differ for that alone", machine::rustc());
    }
    if !worse.is_empty() {
        bail!("{}; if that is meant, `cargo xtask bench --record` and say why in the commit", worse.join("; "));
    }
    if better {
        println!("some cost less than recorded: `cargo xtask bench --record` keeps it so");
    }
    Ok(())
}

/// Measures, and writes the record.
pub(crate) fn record(workspace: &Workspace, programs: &Programs) -> Result<()> {
    let measured = measure(programs)?;
    let about = "What one request costs, by cargo xtask bench --record; cargo xtask bench --check compares";
    let record = json!({ "about": about, "rustc": machine::rustc(), "cases": measured });
    let path = workspace.root.join(FILE);
    fs::write(&path, format!("{record:#}\n")).with_context(|| format!("writing {}", path.display()))?;
    println!("written to {FILE}: {record:#}");
    Ok(())
}

const INSTRUCTIONS: &str = "instructions";
const CALLS: &str = "system calls";

fn measure(programs: &Programs) -> Result<Figures> {
    let tools = [("valgrind", "instructions"), ("strace", "system calls")];
    let there = tools.map(|(tool, what)| {
        let status = Command::new(tool).arg("--version").stdout(Stdio::null()).status();
        let there = status.is_ok_and(|status| status.success());
        if !there {
            println!("there is no program `{tool}`, so no {what}: install the package {tool}");
        }
        there
    });
    if there == [false, false] {
        bail!("neither valgrind nor strace is installed: nothing can be counted");
    }
    let mut figures = Figures::new();
    for case in &CASES {
        println!("counting: {}", case.name);
        let of_case = figures.entry(case.name.into()).or_default();
        // valgrind runs one thread at a time, so that what several do to each other is not what they do in earnest.
        if there[0] && case.program == Program::Single {
            of_case.insert(INSTRUCTIONS.into(), rounded(per_request(programs, case, instructions)?));
        }
        if there[1] {
            of_case.insert(CALLS.into(), rounded(per_request(programs, case, calls)?));
        }
    }
    Ok(figures)
}

fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn per_request(programs: &Programs, case: &Case, count: Count) -> Result<f64> {
    let [few, many] = REQUESTS;
    let of_few = count(programs, case, few).with_context(|| case.name.to_owned())?;
    let of_many = count(programs, case, many).with_context(|| case.name.to_owned())?;
    Ok((of_many as f64 - of_few as f64) / f64::from(many - few))
}

type Count = fn(&Programs, &Case, u32) -> Result<u64>;

/// Of the server, for a run of so many requests.
fn instructions(programs: &Programs, case: &Case, requests: u32) -> Result<u64> {
    let file = programs.scratch("callgrind.out");
    let output = format!("--callgrind-out-file={}", file.display());
    let tool = ["valgrind", "--quiet", "--tool=callgrind", &output];
    let text = counted(programs, case, requests, &tool, &file)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
    total.and_then(|total| total.trim().parse().ok()).context("callgrind wrote no total")
}

/// The same, in system calls of all threads. As a grandchild (-D) strace leaves the server our child, to be stopped.
fn calls(programs: &Programs, case: &Case, requests: u32) -> Result<u64> {
    let file = programs.scratch("strace.out");
    let output = file.display().to_string();
    let text = counted(programs, case, requests, &["strace", "-D", "-f", "-c", "-o", &output], &file)?;
    total_calls(&text).with_context(|| format!("strace wrote no total: {text}"))
}

/// From the table's last row: % time, seconds, usecs/call, calls, errors (or nothing), `total`.
fn total_calls(table: &str) -> Option<u64> {
    let line = table.lines().find(|line| line.trim_end().ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

/// Runs the server under a tool, sends the requests, stops it, and reads what the tool wrote.
fn counted(programs: &Programs, case: &Case, requests: u32, tool: &[&str], file: &Path) -> Result<String> {
    // Left over from an earlier run, it would be taken for this one's.
    let _ = fs::remove_file(file);
    let mut command = programs.placed(Path::new(tool[0]), None);
    command.args(&tool[1..]).args(programs.words(case.program, case.work));
    let deadline = Instant::now() + LIMIT;
    let server = Running::start(case.name, &mut command)?;
    let address = server.line_after("listening on ", deadline)?;
    let mut load = programs.load(false);
    load.args(["run", &address, "--json", "--requests", &requests.to_string()]).args(case.load);
    if !case.load.contains(&"--connections") {
        load.args(["--connections", "1"]);
    }
    load.stdout(Stdio::null());
    process::run(&mut load)?;
    server.terminate()?;
    let status = server.wait(deadline)?;
    if !status.success() {
        bail!("the server ended: {status}");
    }
    written(file, deadline)
}

/// What a tool that outlives the server by a moment has written, once it has.
fn written(file: &Path, deadline: Instant) -> Result<String> {
    loop {
        match fs::read_to_string(file) {
            Ok(text) if text.contains("total") || text.contains("summary") => return Ok(text),
            Ok(_) | Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
            Ok(text) => bail!("{} was not finished: `{text}`", file.display()),
            Err(error) => return Err(error).with_context(|| format!("reading {}", file.display())),
        }
    }
}

fn figures_of(cases: &Value) -> Result<Figures> {
    let object = |value: &Value| value.as_object().cloned().with_context(|| format!("{FILE}: no object: {value}"));
    let mut figures = Figures::new();
    for (name, values) in object(cases)? {
        let of_case = figures.entry(name).or_default();
        for (what, value) in object(&values)? {
            of_case.insert(what, value.as_f64().with_context(|| format!("{FILE}: no number: {value}"))?);
        }
    }
    Ok(figures)
}

impl Programs {
    /// A file that is ours to overwrite.
    fn scratch(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_strace_is_its_fourth_column() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                      60.00    0.000600           1       600           recvfrom\n\
                     100.00    0.001000           1      1002         3 total\n";
        assert_eq!(total_calls(table), Some(1_002));
        assert_eq!(total_calls(&table.replace("         3 total", "           total")), Some(1_002));
        assert_eq!(total_calls("nothing"), None);
    }
}
