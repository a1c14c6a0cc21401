//! How long a bystander waits for its answers beside others: some that reset, one that floods. Those run at the lowest
//! priority, so that the bystander waits for the server and not for a processor.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use reactor_tests::load::{Latencies, connect_from, flood, give_way};
use reactor_tests::peers::peer_server;
use reactor_tests::{Client, Mode, Server};

use crate::{Size, Verdict};

// R9: resets in the middle of replies: no death, and a bystander's p99 is at most twice its own alone. For comparison: its
// p99 beside as many clients that read their replies to the end.
pub(crate) fn resets(mode: Mode, size: &Size) -> Verdict {
    let count = size.of(100_000);
    let server = peer_server(mode, "quiet=1");
    let mut bystander = [server.connect()];
    let _warm = Latencies::during(&mut bystander, Duration::from_millis(500));
    let alone = Latencies::during(&mut bystander, Duration::from_secs(3));
    let readers = beside_replies(&server, &mut bystander, count / 10, false);
    let resetting = beside_replies(&server, &mut bystander, count, true);
    let [alone_us, readers_us, resets_us] = [&alone, &readers, &resetting].map(|latencies| latencies.quantile_us(0.99));
    server.stop_with(bystander.into()).report.assert_nothing_lost();
    Verdict {
        figures: format!(
            "{count} resets; bystander's p99 {resets_us} us beside them, {alone_us} us alone, {readers_us} us beside clients \
             that read to the end ({} answers)",
            resetting.len()
        ),
        holds: resets_us <= 2 * alone_us.max(50),
    }
}

/// How long the bystander waits while `count` clients ask for a large reply each and reset in its middle, or read it. It asks
/// ten times for each of them, from when that reply is asked for: so one answer in ten is beside it, whoever is faster.
fn beside_replies(server: &Server, bystander: &mut [Client], count: usize, resets: bool) -> Latencies {
    const REPLY: usize = 150_000;
    let address = server.address();
    let (asked, asks) = channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            give_way();
            let mut reply = vec![0; REPLY];
            for number in 0..count {
                let stream = connect_from(number, address);
                if resets {
                    // More than the buffers of both systems take while nobody reads.
                    socket2::SockRef::from(&stream).set_recv_buffer_size(4096).expect("any socket takes SO_RCVBUF");
                }
                (&stream).write_all(format!("write {REPLY}\n").as_bytes()).expect("the server takes a line");
                asked.send(()).expect("the bystander asks until the last of them");
                let read = if resets { 1_000 } else { REPLY };
                (&stream).read_exact(&mut reply[..read]).expect("the reply begins");
                if resets {
                    let linger = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                    linger.expect("any socket takes SO_LINGER");
                }
                if number % 20_000 == 19_999 {
                    println!("    {} of {count}", number + 1);
                }
            }
        });
        Latencies::of(bystander, |have| have % 10 == 0 && asks.recv().is_err())
    })
}

// R15: one client that floods beside a hundred that ping.
pub(crate) fn fairness(mode: Mode, _size: &Size) -> Verdict {
    let server = peer_server(mode, "quiet=1");
    let mut clients: Vec<_> = (0..100).map(|_| server.connect()).collect();
    let _warm = Latencies::during(&mut clients, Duration::from_millis(500));
    let alone = Latencies::during(&mut clients, Duration::from_secs(5));
    let flooding = server.connect();
    let over = AtomicBool::new(false);
    let requests = b"write 100\n".repeat(1_000);
    let (beside, flooded) = thread::scope(|scope| {
        let floods = scope.spawn(|| flood(&flooding, &requests, &over) / 100);
        let beside = Latencies::during(&mut clients, Duration::from_secs(5));
        over.store(true, Ordering::Relaxed);
        let _ = flooding.stream().shutdown(Shutdown::Both);
        (beside, floods.join().expect("a flood does not panic"))
    });
    let (before, after) = (alone.quantile_us(0.99), beside.quantile_us(0.99));
    Verdict {
        figures: format!(
            "p99 of 100 that ping {after} us beside one that floods, {before} us alone ({} and {} answers; {flooded} to the \
             flood)",
            beside.len(),
            alone.len()
        ),
        // It was a flood: with more answers than all the others together.
        holds: after <= 3 * before && flooded > beside.len(),
    }
}
