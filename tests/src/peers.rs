//! Owns `tests/c/peer_server.c` as tests start it, with or without faults in the system below it, and what they ask `/proc`
//! of it. Knows nothing of what a test wants to see.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::OnceLock;
use std::time::Duration;

use crate::build;
use crate::{Mode, Server};

const PROGRAM: &str = "peer_server";

/// Starts `tests/c/peer_server.c`; `settings` as its head says, such as `framing=raw,high=16384`.
///
/// # Panics
/// Where it does not listen.
#[must_use]
pub fn peer_server(mode: Mode, settings: &str) -> Server {
    Server::program(PROGRAM, &[mode.args(), &["--variant", settings]].concat())
}

/// As [`peer_server`], with all connections on one reactor thread, whatever the mode.
///
/// # Panics
/// Where it does not listen.
#[must_use]
pub fn peer_server_with_one_reactor(mode: Mode, settings: &str) -> Server {
    Server::program(PROGRAM, &[mode.args_with_one_reactor(), vec!["--variant", settings]].concat())
}

/// As [`peer_server`], with two reactor threads where connections spread over several.
///
/// # Panics
/// Where it does not listen.
#[must_use]
pub fn peer_server_with_two_reactors(mode: Mode, settings: &str) -> Server {
    Server::program(PROGRAM, &[mode.args_with_two_reactors(), vec!["--variant", settings]].concat())
}

/// As [`peer_server`], under `tests/faults/shim.c` with `faults` as its head says.
///
/// # Panics
/// Where it does not listen, so not for a fault that comes before that.
#[must_use]
pub fn faulty_server(mode: Mode, settings: &str, faults: &str) -> Server {
    let arguments = faulty_arguments(mode, settings, faults);
    Server::program(PROGRAM, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What a server under faults came to that ended before it listened: whether it said why and left with status 1, as a
/// host does that cannot start. `None`: it listened.
///
/// # Panics
/// Where it cannot be run.
#[must_use]
pub fn refuses_to_start(mode: Mode, settings: &str, faults: &str) -> Option<bool> {
    let mut command = Command::new(build::test_program(PROGRAM));
    command.args(faulty_arguments(mode, settings, faults)).args(["--addr", "127.0.0.1:0"]);
    // With no input it stops at once.
    let output = command.stdin(process::Stdio::null()).output().expect("the program was built just above");
    let listened = String::from_utf8_lossy(&output.stdout).contains("listening on ");
    let said_why = String::from_utf8_lossy(&output.stderr).contains("last error of this thread");
    (!listened).then(|| output.status.code() == Some(1) && said_why)
}

fn faulty_arguments(mode: Mode, settings: &str, faults: &str) -> Vec<String> {
    let comma = if settings.is_empty() { "" } else { "," };
    let variant = format!("{settings}{comma}preload={},faults={faults}", shim().display());
    let mut arguments: Vec<String> = mode.args().iter().map(|&arg| arg.to_owned()).collect();
    arguments.extend(["--variant".to_owned(), variant]);
    arguments
}

/// The shim, compiled; once a process, and whole or not at all, for other processes build it at the same time.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let program = build::test_program(PROGRAM);
        let folder = program.parent().expect("a program is built in a folder under target");
        let (library, unfinished) = (folder.join("faults.so"), folder.join(format!("faults.{}", process::id())));
        let mut command = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
        command.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-pthread", "-o"]).arg(&unfinished);
        command.arg(build::root().join("tests/faults/shim.c")).arg("-ldl");
        let status = command.status().unwrap_or_else(|error| panic!("running {command:?}: {error}"));
        assert!(status.success(), "{command:?}: {status}");
        fs::rename(&unfinished, &library).expect("cc has just written the file");
        library
    })
}

/// The processor time that the threads which process `pid` has now have used so far.
///
/// # Panics
/// Where the process is gone.
#[must_use]
pub fn processor_time(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the caller holds the child, so its files exist");
    // proc(5): the first number is nanoseconds on a processor. A thread that ends while we look has none to tell.
    let of_thread =
        |path: PathBuf| fs::read_to_string(path.join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok();
    Duration::from_nanos(tasks.filter_map(|task| of_thread(task.ok()?.path())).sum())
}

/// The bytes of memory that process `pid` has resident now.
///
/// # Panics
/// Where the process is gone.
#[must_use]
pub fn resident_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmRSS:")
}

/// The bytes that process `pid` has had resident at most, since it began or since [`forget_peak`].
///
/// # Panics
/// Where the process is gone.
#[must_use]
pub fn peak_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmHWM:")
}

/// Lets the peak of process `pid` begin anew: proc(5), `clear_refs`, 5.
///
/// # Panics
/// Where the process is gone.
pub fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the caller holds the child, so its files exist");
}

fn status_bytes(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the caller holds the child, so it is there");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("every process that runs has it");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("proc(5): a number of kB");
    kib * 1024
}
