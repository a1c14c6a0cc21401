//! Connections that come, wait and go: as many as descriptors allow, a million in turn, none left to accept with, thousands
//! that drip.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use reactor_tests::load::{churn, connect_from, drip};
use reactor_tests::peers::{peer_server, processor_time, resident_bytes};
use reactor_tests::{Client, Mode, Server, assert_same_bytes, descriptors, wait_until};

use crate::{MIB, Size, Verdict};

// R1: as many connections as descriptors allow, each answered twice, none lost.
pub(crate) fn connections(mode: Mode, size: &Size) -> Verdict {
    let count = size.of(19_900);
    let server = peer_server(mode, "quiet=1");
    let idle = resident_bytes(server.pid());
    let mut streams: Vec<_> = (0..count).map(|number| connect_from(number, server.address())).collect();
    for round in 0..2 {
        let line = |number| format!("echo {round} {number}\n").into_bytes();
        for (number, stream) in streams.iter_mut().enumerate() {
            stream.write_all(&line(number)).unwrap_or_else(|error| panic!("connection {number}: {error}"));
        }
        for (number, stream) in streams.iter_mut().enumerate() {
            let mut reply = line(number);
            stream.read_exact(&mut reply).unwrap_or_else(|error| panic!("connection {number}: {error}"));
            assert_same_bytes(&reply, &line(number));
        }
        println!("    {count} connections answered in round {round}");
    }
    let each = (resident_bytes(server.pid()).saturating_sub(idle)) / count as u64;
    streams.iter().for_each(|stream| stream.shutdown(Shutdown::Write).expect("none was lost"));
    drop(streams);
    let stopped = server.stop();
    let due = format!("totals opens={count} processes={} closes={count}", 2 * count);
    Verdict {
        figures: format!("{count} at once, each answered twice, {each} bytes of memory each"),
        holds: stopped.count(&due) == 1,
    }
}

// R2: a million connections that come, ask and go: no descriptor left over, memory within 1 MiB.
pub(crate) fn churned(mode: Mode, size: &Size) -> Verdict {
    let count = size.of(1_000_000);
    let server = peer_server(mode, "quiet=1");
    // What is allocated once is there after the first tenth.
    churn(server.address(), count / 10, 2, |_| {});
    let mut asking = server.connect();
    settled(&mut asking);
    let (open, memory) = (descriptors(server.pid()), resident_bytes(server.pid()));
    churn(server.address(), count, 2, |done| {
        if done % 100_000 == 0 {
            println!("    {done} of {count}");
        }
    });
    settled(&mut asking);
    let grown = resident_bytes(server.pid()) as f64 - memory as f64;
    let left = descriptors(server.pid()) as i64 - open as i64;
    Verdict {
        figures: format!("{count} connections, {left} descriptors left over, memory {:+.2} MiB", grown / MIB),
        holds: left == 0 && grown.abs() <= MIB,
    }
}

/// Waits until no connection but this one is open; says how often it asked.
pub(crate) fn settled(asking: &mut Client) -> usize {
    let mut asked = 0;
    wait_until("all others to be closed", || {
        asked += 1;
        asking.send(b"stats\n");
        asking.receive_until(b"\n").starts_with(b"open=1 ")
    });
    asked
}

// R8: descriptors exhausted: at most 5 % of a processor, and who waits is served within 200 ms of one being freed.
pub(crate) fn descriptors_exhausted(mode: Mode, _size: &Size) -> Verdict {
    let args = ["--nofile", "64", "--max-connections", "10000", "--variant", "quiet=1"];
    let server = Server::program_with_two_reactors(mode, "peer_server", &args);
    let mut clients: Vec<_> = (0..80).map(|_| server.connect()).collect();
    wait_until("the descriptors to run out", || descriptors(server.pid()) >= 64);
    clients.iter_mut().for_each(|client| client.send(b"write 3\n"));
    let mut served = 0;
    for client in &clients {
        client.stream().set_read_timeout(Some(Duration::from_secs(1))).expect("the stream is open");
        if client.stream().read_exact(&mut [0; 3]).is_err() {
            break;
        }
        served += 1;
    }
    let (time, began) = (processor_time(server.pid()), Instant::now());
    // The next one waits, and nothing comes.
    clients[served].stream().set_read_timeout(Some(Duration::from_secs(2))).expect("the stream is open");
    assert!(clients[served].stream().read(&mut [0]).is_err(), "there is no descriptor for it");
    let busy = (processor_time(server.pid()) - time).as_secs_f64() / began.elapsed().as_secs_f64();
    let mut worst = Duration::ZERO;
    for waiting in served..80 {
        drop(clients.remove(0));
        let freed = Instant::now();
        let at = waiting - (waiting - served) - 1;
        clients[at].stream().set_read_timeout(Some(Duration::from_secs(10))).expect("the stream is open");
        clients[at].stream().read_exact(&mut [0; 3]).expect("a descriptor is free now");
        worst = worst.max(freed.elapsed());
    }
    Verdict {
        figures: format!(
            "{served} served, {} waited; {:.1} % of a processor meanwhile; served at most {} ms after one was freed",
            80 - served,
            busy * 100.0,
            worst.as_millis()
        ),
        holds: busy <= 0.05 && worst <= Duration::from_millis(200),
    }
}

// R12: five thousand clients that drip one byte: closed at the frame timeout, within 10 %.
pub(crate) fn dripped(mode: Mode, size: &Size) -> Verdict {
    const TIMEOUT_S: f64 = 10.0;
    let count = size.of(5_000);
    let server = peer_server(mode, "quiet=1,frame_ms=10000");
    let streams: Vec<_> = (0..count).map(|number| connect_from(number, server.address())).collect();
    let ended = drip(&streams, Duration::from_millis(500), Duration::from_secs(15));
    let first = ended.iter().copied().fold(f64::INFINITY, f64::min);
    let last = ended.iter().copied().fold(0.0, f64::max);
    Verdict {
        figures: format!(
            "{} of {count} ended, after {first:.2} to {last:.2} s; the timeout is {TIMEOUT_S} s",
            ended.len()
        ),
        holds: ended.len() == count && first >= TIMEOUT_S * 0.9 && last <= TIMEOUT_S * 1.1,
    }
}
