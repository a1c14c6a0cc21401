//! Owns what `/proc` says of a running process. Knows nothing of what the process is.

use std::fs;

/// A thread of a process, as the kernel describes it.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Whether it is the one that ran `main`.
    pub is_main: bool,
    /// Its name, at most 15 bytes long (prctl(2), PR_SET_NAME).
    pub name: String,
    /// The signals that it blocks; signal N is bit N - 1 (proc(5), SigBlk).
    pub blocked_signals: u64,
}

/// The threads that process `pid` has now.
///
/// # Panics
/// Where the process is gone.
#[must_use]
pub fn threads(pid: u32) -> Vec<Thread> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the caller holds the child, so its files exist");
    tasks.filter_map(|task| thread(pid, &task.ok()?.file_name().into_string().ok()?)).collect()
}

/// `None` for a thread that ended while we looked.
fn thread(pid: u32, tid: &str) -> Option<Thread> {
    let folder = format!("/proc/{pid}/task/{tid}");
    let name = fs::read_to_string(format!("{folder}/comm")).ok()?.trim_end().to_owned();
    let status = fs::read_to_string(format!("{folder}/status")).ok()?;
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"))?.trim();
    let blocked_signals = u64::from_str_radix(blocked, 16).ok()?;
    Some(Thread { is_main: tid == pid.to_string(), name, blocked_signals })
}

/// How many descriptors process `pid` has open now.
///
/// # Panics
/// Where the process is gone.
#[must_use]
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("the caller holds the child, so its files exist").count()
}

/// How many of the descriptors of process `pid` are sockets.
///
/// # Panics
/// Where the process is gone.
#[must_use]
pub fn sockets(pid: u32) -> usize {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("the caller holds the child, so its files exist");
    let targets = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}
