//! A client that resets in the middle of a reply costs its own connection and no more. The servers here are C programs whose
//! SIGPIPE is at its default, which they check themselves: a write that raised it would end them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use reactor_tests::{Client, Mode, Server, alphabet, in_each_mode};

in_each_mode!(a_reset_in_the_middle_of_a_large_reply, a_reset_in_the_middle_of_many_gathered_replies);

fn a_reset_in_the_middle_of_a_large_reply(mode: Mode) {
    resets_beside_a_bystander(mode, &b"write 4000000\n".repeat(3), 20);
}

fn a_reset_in_the_middle_of_many_gathered_replies(mode: Mode) {
    resets_beside_a_bystander(mode, &b"write 5000\n".repeat(2_000), 20);
}

/// Sends `requests`, whose replies are more than the kernel buffers, reads their beginning, resets; `times` times, while
/// a bystander's every reply stays exact.
fn resets_beside_a_bystander(mode: Mode, requests: &[u8], times: usize) {
    let mut server = Server::program("commands", mode.args());
    let address = server.address();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let bystander = scope.spawn(|| ping_until(&over, Client::connect(address)));
        let ends_bystander = SetWhenDropped(&over);
        for _ in 0..times {
            let mut client = server.connect();
            client.send(requests);
            let _beginning = client.receive(1_000);
            client.reset();
            let line = server.expect_line("close ");
            let reset = line.contains(" reason=RESET os_error=") && !line.ends_with("os_error=0");
            assert!(reset, "{line}");
        }
        drop(ends_bystander);
        assert!(bystander.join().is_ok(), "the bystander's failure is printed above");
    });
    let stopped = server.stop();
    stopped.report.assert_nothing_lost();
    let due = format!("totals opens={0} closes={0}", times + 1);
    assert_eq!(stopped.count(&due), 1, "{:#?}", stopped.lines);
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
