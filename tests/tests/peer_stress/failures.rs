//! Callbacks that fail: each costs its own connection, and a bystander nothing.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use reactor_tests::load::{Latencies, connect_from};
use reactor_tests::peers::peer_server;
use reactor_tests::{Mode, alone, in_each_mode};

use crate::connections::settled;
use crate::{Size, Verdict};

in_each_mode!(each_failure_costs_its_own_connection_and_a_bystander_nothing);

// R17: a hundred thousand callbacks that fail, or fail the promise that they have made.
pub(crate) fn failures(mode: Mode, size: &Size) -> Verdict {
    let count = size.of(100_000);
    let answers = fail_beside_a_bystander(mode, count);
    Verdict {
        figures: format!("{count} failures, each the end of its connection alone; a bystander had {answers} answers"),
        holds: true,
    }
}

fn each_failure_costs_its_own_connection_and_a_bystander_nothing(mode: Mode) {
    let _alone = alone();
    assert!(fail_beside_a_bystander(mode, 1_000) > 0);
}

/// Lets `count` connections fail while a bystander asks, each of whose answers is right; says how many those were.
fn fail_beside_a_bystander(mode: Mode, count: usize) -> usize {
    let server = peer_server(mode, "quiet=1");
    let mut bystander = [server.connect()];
    let (address, over) = (server.address(), AtomicBool::new(false));
    let answers = thread::scope(|scope| {
        let asking = scope.spawn(|| Latencies::of(&mut bystander, |had| had > 0 && over.load(Ordering::Relaxed)).len());
        let begun = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| fail_one_after_another(address, &begun, count));
            }
        });
        over.store(true, Ordering::Relaxed);
        asking.join().expect("the bystander's answers are right")
    });
    let [mut bystander] = bystander;
    let asked = settled(&mut bystander);
    bystander.send(b"stats\n");
    let stats = String::from_utf8_lossy(&bystander.receive_until(b"\n")).into_owned();
    assert!(stats.ends_with(&format!(" failures={count}\n")), "{count} failed: {stats}");
    let stopped = server.stop_with(vec![bystander]);
    stopped.report.assert_nothing_lost();
    // Of each connection two requests have begun: what came behind the one that failed never did.
    let due = format!("totals opens={} processes={} closes={}", count + 1, 2 * count + answers + asked + 1, count + 1);
    assert_eq!(stopped.count(&due), 1, "{due}: {:?}", stopped.lines);
    answers
}

fn fail_one_after_another(address: SocketAddr, begun: &AtomicUsize, count: usize) {
    loop {
        let number = begun.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return;
        }
        let mut stream = connect_from(number, address);
        let how = if number.is_multiple_of(2) { "fail" } else { "fail_later" };
        let lines = format!("echo {number}\n{how}\necho never\n");
        stream.write_all(lines.as_bytes()).expect("the server takes what comes with the request that fails");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap_or_else(|error| panic!("connection {number}: no FIN, but {error}"));
        assert_eq!(answer, format!("echo {number}\n"), "what was answered before the failure, and no more");
        if number % 20_000 == 19_999 {
            println!("    {} of {count}", number + 1);
        }
    }
}
