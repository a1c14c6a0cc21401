//! A client that resets in the middle of a reply costs its own connection and no more. The servers here are C programs whose
//! SIGPIPE is at its default, which they check themselves: a write that raised it would end them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::errno::Errno;
use reactor_tests::{Client, Mode, Server, alphabet, assert_closed, in_each_mode, in_each_mode_of_node};

in_each_mode!(
    a_reset_in_the_middle_of_a_large_reply,
    a_reset_in_the_middle_of_many_gathered_replies,
    a_reset_of_an_idle_connection_is_told_with_its_errno,
    a_write_after_fin_and_reset_raises_no_sigpipe,
);

// Not there: SIGPIPE, which Node.js ignores from its start, and a loop that stands in a callback, which is never its.
in_each_mode_of_node!(
    a_reset_in_the_middle_of_a_large_reply,
    a_reset_in_the_middle_of_many_gathered_replies,
    a_reset_of_an_idle_connection_is_told_with_its_errno,
);

fn a_reset_in_the_middle_of_a_large_reply(mode: Mode) {
    resets_beside_a_bystander(mode, &b"write 4000000\n".repeat(3), 20);
}

fn a_reset_in_the_middle_of_many_gathered_replies(mode: Mode) {
    resets_beside_a_bystander(mode, &b"write 5000\n".repeat(2_000), 20);
}

/// Sends `requests`, whose replies are more than the kernel buffers, reads their beginning, resets; `times` times, while
/// a bystander's every reply stays exact.
fn resets_beside_a_bystander(mode: Mode, requests: &[u8], times: usize) {
    let mut server = Server::program_in(mode, "commands", &[]);
    let address = server.address();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let bystander = scope.spawn(|| ping_until(&over, Client::connect(address)));
        let ends_bystander = SetWhenDropped(&over);
        for turn in 0..times {
            let mut client = server.connect();
            client.send(requests);
            let _beginning = client.receive(1_000);
            if turn % 2 == 1 {
                client.finish();
            }
            client.reset();
            assert_closed(&server.expect_line("close "), "RESET");
        }
        drop(ends_bystander);
        assert!(bystander.join().is_ok(), "the bystander's failure is printed above");
    });
    let stopped = server.stop();
    stopped.report.assert_nothing_lost();
    let due = format!("totals opens={0} closes={0}", times + 1);
    assert_eq!(stopped.count(&due), 1, "{:#?}", stopped.lines);
}

fn a_reset_of_an_idle_connection_is_told_with_its_errno(mode: Mode) {
    let mut server = Server::program_in(mode, "commands", &[]);
    let mut client = server.connect();
    client.ask(b"write 3\n", b"abc");
    client.reset();
    let line = server.expect_line("close ");
    assert_closed(&line, "RESET");
    let due = format!("reason=RESET os_error={}", Errno::ECONNRESET as i32);
    assert!(mode.is_node() || line.ends_with(&due), "{line}");
}

/// A reset after a FIN makes the error of the next write EPIPE, which is what comes with a SIGPIPE. Nobody may have
/// looked at the socket in between: the loop stands in a callback meanwhile, its own or, where workers answer, on_open of
/// another connection. Then several replies wait for one gathered write.
fn a_write_after_fin_and_reset_raises_no_sigpipe(mode: Mode) {
    let mut server = Server::program_with_one_reactor(mode, "commands", &["--variant", "gate-open"]);
    let mut client = server.connect();
    client.send(b"gate\nwrite 20000\nwrite 20000\nsay\n");
    server.expect_line("process waits");
    let mut bystander = server.connect();
    if mode.has_workers() {
        server.expect_line("open waits");
    }
    client.finish();
    client.reset();
    server.tell("go 0");
    server.expect_line("said");
    server.tell("go 1");
    bystander.ask(b"write 3\n", b"abc");
    assert_closed(&server.expect_line("close "), "RESET");
    let stopped = server.stop_with(vec![bystander]);
    stopped.report.assert_nothing_lost();
}

/// Also where the test fails: the scope waits for its threads.
struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn ping_until(over: &AtomicBool, mut client: Client) {
    let reply = alphabet(1_000);
    while !over.load(Ordering::Relaxed) {
        client.ask(b"write 1000\n", &reply);
    }
    client.finish();
    client.expect_end();
}
