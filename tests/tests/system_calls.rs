//! A steady echo costs one receive and one send a request, and no change of a registration.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use reactor_tests::Server;

const REQUESTS: u64 = 2_000;
/// For the start, the accept, the end, and the shell that starts the server.
const SLACK: u64 = 20;

#[test]
fn a_steady_echo_is_one_receive_and_one_send_a_request() {
    if !strace_works() {
        eprintln!("skipped: strace is not installed, or may not trace here");
        return;
    }
    let table = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("strace-{}", std::process::id()));
    let server = Server::traced_example("echo", &["--mode", "single", "--compute-ms", "0"], &table);
    let mut client = server.connect();
    for _ in 0..REQUESTS {
        client.ask(b"sixteen bytes...", b"sixteen bytes...");
    }
    drop(client);
    server.stop().report.assert_nothing_lost();

    let text = fs::read_to_string(&table).expect("strace has ended, so it has written its table");
    fs::remove_file(&table).expect("nobody else knows the file");
    let calls = parse(&text);
    let count = |names: &[&str]| names.iter().filter_map(|&name| calls.get(name)).sum::<u64>();
    let receives = count(&["recvfrom", "recvmsg", "readv"]);
    let sends = count(&["sendto", "sendmsg", "writev"]);
    assert!((REQUESTS..REQUESTS + SLACK).contains(&receives), "{text}");
    assert!((REQUESTS..REQUESTS + SLACK).contains(&sends), "{text}");
    assert!(count(&["epoll_ctl"]) < SLACK, "{text}");
    assert!(count(&["epoll_wait", "epoll_pwait", "epoll_pwait2"]) < REQUESTS + SLACK, "{text}");
    assert!(count(&["futex"]) < SLACK, "{text}");
}

fn strace_works() -> bool {
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-o", "/dev/null", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// System call -> calls, of the table of `strace -c`: % time, seconds, usecs/call, calls, errors (or nothing), name.
fn parse(table: &str) -> HashMap<&str, u64> {
    let rows = table.lines().filter_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        Some((*columns.last()?, columns.get(3)?.parse().ok()?))
    });
    rows.filter(|(name, _)| *name != "total").collect()
}
