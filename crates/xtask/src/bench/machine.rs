//! What the figures were taken on: the machine, and the versions of what was measured. Every one may be unknown.

use std::fs;
use std::process::Command;

use crate::workspace::Workspace;

/// Names and values, as RESULTS.md lists them.
pub(crate) fn facts(workspace: &Workspace) -> Vec<(&'static str, String)> {
    let piscina = workspace.root.join("benchmarks/peers/node/node_modules/piscina/package.json");
    let piscina = fs::read_to_string(piscina).ok().and_then(|text| {
        let package: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(package["version"].as_str()?.to_owned())
    });
    let facts = [
        ("processor", of_file("/proc/cpuinfo", "model name")),
        ("cores", std::thread::available_parallelism().ok().map(|cores| cores.to_string())),
        ("memory", of_file("/proc/meminfo", "MemTotal")),
        ("kernel", said("uname", &["-sr"])),
        ("commit", said_at(workspace, "git", &["describe", "--always", "--dirty"])),
        ("rustc", said("rustc", &["--version"])),
        ("C compiler", said("cc", &["--version"])),
        ("Node.js", said("node", &["--version"])),
        ("libuv", said("pkg-config", &["--modversion", "libuv"])),
        ("wrk", said("wrk", &["-v"])),
        ("piscina", piscina),
    ];
    facts.map(|(name, value)| (name, value.unwrap_or("unknown".into()))).into()
}

/// The compiler, on which instruction counts depend.
pub(crate) fn rustc() -> String {
    said("rustc", &["--version"]).unwrap_or("unknown".into())
}

fn of_file(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().into())
}

fn said(program: &str, args: &[&str]) -> Option<String> {
    first_line(Command::new(program).args(args))
}

fn said_at(workspace: &Workspace, program: &str, args: &[&str]) -> Option<String> {
    first_line(Command::new(program).args(args).current_dir(&workspace.root))
}

/// wrk says its version and fails, so the exit status does not count.
fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.into())
}
