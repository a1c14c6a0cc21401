//! Owns the tests that need a process of their own, and how many connections one may have. Knows nothing of what they
//! measure.

use std::process::Command;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Tells the test of a child that it is one.
const CHILD: &str = "REACTOR_CORE_CHILD";

/// Runs the ignored test `name` of this program in a process of its own, for what only a whole process shows; `setting` it
/// gets from [`child_setting`].
#[track_caller]
pub(crate) fn in_a_process_of_its_own(name: &str, setting: &str) {
    let program = std::env::current_exe().expect("the test knows its own file");
    let output = Command::new(program)
        .args([name, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD, setting)
        .output()
        .expect("the test's own file runs");
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} ({setting}) failed:\n{told}\n{errors}");
    assert!(told.contains("1 passed"), "{name} did not run:\n{told}");
}

/// What a child was asked for; `None` where the test was not started as one.
pub(crate) fn child_setting() -> Option<String> {
    std::env::var(CHILD).ok()
}

/// The most connections of which this process can have both ends, up to `wanted`: fewer where its hard limit is low.
pub(crate) fn connections(wanted: usize) -> usize {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit it may be raised");
    wanted.min((hard as usize).saturating_sub(200) / 2)
}
