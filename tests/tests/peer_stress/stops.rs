//! Stops while clients ask.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use reactor_tests::peers::peer_server;
use reactor_tests::{Mode, alone, alphabet, in_each_mode, wait_until};

use crate::{Size, Verdict};

in_each_mode!(stops_under_load_answer_all_that_was_admitted);

// R19: stops under load.
pub(crate) fn stops(mode: Mode, size: &Size) -> Verdict {
    let count = size.of(1_000);
    let begun = Instant::now();
    let mut answered = 0;
    for number in 0..count {
        answered += stop_under_load(mode, number);
        if number % 100 == 99 {
            println!("    {} of {count} stops, {:.0} s", number + 1, begun.elapsed().as_secs_f64());
        }
    }
    Verdict { figures: format!("{count} stops, {answered} replies, all whole, none abandoned"), holds: true }
}

fn stops_under_load_answer_all_that_was_admitted(mode: Mode) {
    let _alone = alone();
    for number in 0..10 {
        assert!(stop_under_load(mode, number) > 0);
    }
}

/// Stops a server while four clients ask, one of them without ever waiting; sees that every reply is whole, then the FIN,
/// and that the program's count of opens and closes agrees. Says how many replies there were.
fn stop_under_load(mode: Mode, number: usize) -> usize {
    let mut server = peer_server(mode, "quiet=1");
    let answered = AtomicUsize::new(0);
    let reply = alphabet(100);
    thread::scope(|scope| {
        for index in 0..4 {
            let mut client = server.connect();
            // It has been accepted: one that waits in the listener's queue when that is closed is reset by the system.
            client.ask(b"write 1\n", b"a");
            let (answered, reply) = (&answered, &reply);
            scope.spawn(move || {
                let batch = b"write 100\n".repeat(1 + index * 10);
                let mut received = Vec::new();
                // Fails where the server has closed: what came before is looked at all the same.
                while client.stream().write_all(&batch).is_ok() {
                    let due = received.len() + batch.len() * 10;
                    let mut limited = client.stream().take((due - received.len()) as u64);
                    match limited.read_to_end(&mut received) {
                        Ok(_) if received.len() == due => {}
                        Ok(_) => break,
                        Err(error) => panic!("no FIN, but {error}"),
                    }
                    answered.fetch_add(batch.len() / 10, Ordering::Relaxed);
                }
                assert!(received.chunks(100).all(|one| one == &reply[..]), "a reply is cut or changed");
                let _ = client.stream().shutdown(Shutdown::Write);
                client.expect_end();
            });
        }
        wait_until("the load to be under way", || answered.load(Ordering::Relaxed) > 50 + number * 7 % 500);
        server.ask_to_stop();
    });
    let stopped = server.wait();
    stopped.report.assert_nothing_lost();
    let totals = stopped.lines.iter().find(|line| line.starts_with("totals ")).expect("the program says it at its end");
    assert!(totals.starts_with("totals opens=4 ") && totals.ends_with(" closes=4"), "{totals}");
    answered.load(Ordering::Relaxed)
}
