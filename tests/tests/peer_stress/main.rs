//! The load rows of RELIABILITY.md. `cargo xtask stress NAME` runs one of them at its full size, in each mode; each prints
//! its figures and a verdict. Here in the suite: stops under load, which no other test holds.

use std::env;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use reactor_tests::load::{Latencies, churn, connect_from, drip, flood, flood_unread, raise_descriptor_limit};
use reactor_tests::peers::{forget_peak, peak_bytes, peer_server, processor_time, resident_bytes};
use reactor_tests::{Client, Mode, Server, alone, alphabet, assert_same_bytes, descriptors, in_each_mode, wait_until};

in_each_mode!(stops_under_load_answer_all_that_was_admitted);

const MIB: f64 = 1024.0 * 1024.0;

/// How much of the full size, in per cent.
struct Size(usize);

impl Size {
    fn of(&self, full: usize) -> usize {
        (full * self.0 / 100).max(1)
    }
}

/// What came of a row in one mode: its figures, and whether the promise held.
struct Verdict {
    figures: String,
    holds: bool,
}

type Row = fn(Mode, &Size) -> Verdict;

/// Row of RELIABILITY.md, its name, and what shows it.
const ROWS: [(&str, &str, Row); 9] = [
    ("R1", "connections", connections),
    ("R2", "churn", churned),
    ("R8", "descriptors", descriptors_exhausted),
    ("R9", "resets", resets),
    ("R11", "slow-readers", slow_readers),
    ("R12", "drip", dripped),
    ("R14", "flood", flooded),
    ("R15", "fairness", fairness),
    ("R19", "stops", stops),
];

const MODES: [(&str, Mode); 4] = [
    ("single", Mode::Single),
    ("pooled", Mode::Pooled),
    ("multi", Mode::Multi),
    ("multi-with-workers", Mode::MultiWithWorkers),
];

#[test]
#[ignore = "minutes long: cargo xtask stress NAME"]
fn stress() {
    let name = env::var("REACTOR_STRESS").expect("cargo xtask stress names a row");
    let size = Size(env::var("REACTOR_STRESS_PERCENT").map_or(100, |text| text.parse().expect("a number of per cent")));
    let only = env::var("REACTOR_STRESS_MODE").ok();
    let known = ROWS.map(|(_, name, _)| name).join(", ");
    let (row, name, run) =
        ROWS.into_iter().find(|(_, known, _)| *known == name).unwrap_or_else(|| panic!("one of {known}"));
    raise_descriptor_limit();
    let mut broken = Vec::new();
    for (mode_name, mode) in MODES.into_iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name)) {
        let begun = Instant::now();
        let Verdict { figures, holds } = run(mode, &size);
        let word = if holds { "holds" } else { "BROKEN" };
        println!("{row} {name} {mode_name}: {word}: {figures} ({:.0} s)", begun.elapsed().as_secs_f64());
        if !holds {
            broken.push(mode_name);
        }
    }
    assert!(broken.is_empty(), "{row} {name} does not hold in: {}", broken.join(", "));
}

// R1: as many connections as descriptors allow, each answered twice, none lost.
fn connections(mode: Mode, size: &Size) -> Verdict {
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
fn churned(mode: Mode, size: &Size) -> Verdict {
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

/// Waits until no connection but this one is open.
fn settled(asking: &mut Client) {
    wait_until("all others to be closed", || {
        asking.send(b"stats\n");
        asking.receive_until(b"\n").starts_with(b"open=1 ")
    });
}

// R8: descriptors exhausted: at most 5 % of a processor, and who waits is served within 200 ms of one being freed.
fn descriptors_exhausted(mode: Mode, _size: &Size) -> Verdict {
    let args = [mode.args(), &["--nofile", "64", "--max-connections", "10000", "--variant", "quiet=1"]].concat();
    let server = Server::program("peer_server", &args);
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

// R9: resets in the middle of replies: no death, and a bystander's p99 is at most twice its own alone. For comparison: its
// p99 beside as many clients that read their replies to the end.
fn resets(mode: Mode, size: &Size) -> Verdict {
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

/// How long the bystander waits while `count` clients ask for a large reply each and reset in its middle, or read it.
fn beside_replies(server: &Server, bystander: &mut [Client], count: usize, resets: bool) -> Latencies {
    const REPLY: usize = 150_000;
    let over = AtomicBool::new(false);
    let address = server.address();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut reply = vec![0; REPLY];
            for number in 0..count {
                let stream = connect_from(number, address);
                if resets {
                    // More than the buffers of both systems take while nobody reads.
                    socket2::SockRef::from(&stream).set_recv_buffer_size(4096).expect("any socket takes SO_RCVBUF");
                }
                (&stream).write_all(format!("write {REPLY}\n").as_bytes()).expect("the server takes a line");
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
            over.store(true, Ordering::Relaxed);
        });
        Latencies::of(bystander, |_| over.load(Ordering::Relaxed))
    })
}

// R11: a thousand clients that never read.
fn slow_readers(mode: Mode, size: &Size) -> Verdict {
    const HIGH: usize = 64 * 1024;
    const IN_FLIGHT: usize = 64;
    const REPLY: usize = 1_000;
    let count = size.of(1_000);
    let server = peer_server(mode, "quiet=1");
    let mut bystander = [server.connect()];
    let streams: Vec<_> = (0..count).map(|number| connect_from(number, server.address())).collect();
    let _warm = Latencies::of(&mut bystander, |have| have >= 1_000);
    let idle = resident_bytes(server.pid());
    forget_peak(server.pid());
    let requests = format!("write {REPLY}\n").repeat(1_000).into_bytes();
    let reply = alphabet(100);
    let mut served = 0;
    flood_unread(&streams, &requests, Duration::from_secs(1), Duration::from_secs(60), || {
        bystander[0].ask(b"write 100\n", &reply);
        served += 1;
    });
    bystander[0].send(b"stats\n");
    let stats = String::from_utf8_lossy(&bystander[0].receive_until(b"\n")).trim().to_owned();
    let grown = peak_bytes(server.pid()).saturating_sub(idle) as f64;
    let limit = (count * (HIGH + IN_FLIGHT * REPLY + 64 * 1024)).min(256 * 1024 * 1024) as f64;
    Verdict {
        figures: format!(
            "{count} that never read: {:.1} MiB more at most, the limit is {:.1} MiB + 10 %; a bystander had {served} answers; {stats}",
            grown / MIB,
            limit / MIB
        ),
        holds: grown <= limit * 1.1,
    }
}

// R12: five thousand clients that drip one byte: closed at the frame timeout, within 10 %.
fn dripped(mode: Mode, size: &Size) -> Verdict {
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

// R14: memory_limit 64 MiB under a flood of ten thousand.
fn flooded(mode: Mode, size: &Size) -> Verdict {
    const LIMIT: f64 = 64.0 * MIB;
    let count = size.of(9_900);
    let server = peer_server(mode, "quiet=1,memory=67108864,frame=65536");
    let mut bystander = server.connect();
    bystander.ask(b"write 1\n", b"a");
    let streams: Vec<_> = (0..count).map(|number| connect_from(number, server.address())).collect();
    wait_until("all to be open", || {
        bystander.send(b"stats\n");
        let stats = bystander.receive_until(b"\n");
        stats.starts_with(format!("open={} ", count + 1).as_bytes())
    });
    let idle = resident_bytes(server.pid()) as f64;
    forget_peak(server.pid());
    let line = [b"echo ".to_vec(), vec![b'x'; 48 * 1024], b"\n".to_vec()].concat();
    flood_unread(&streams, &line, Duration::from_secs(1), Duration::from_secs(60), || {});
    let peak = peak_bytes(server.pid()) as f64;
    let limit = LIMIT * 1.25 + idle;
    Verdict {
        figures: format!(
            "{count} that flood: {:.1} MiB at most, idle {:.1} MiB, the limit is {:.1} MiB",
            peak / MIB,
            idle / MIB,
            limit / MIB
        ),
        holds: peak <= limit,
    }
}

// R15: one client that floods beside a hundred that ping.
fn fairness(mode: Mode, _size: &Size) -> Verdict {
    let server = peer_server(mode, "quiet=1");
    let mut clients: Vec<_> = (0..100).map(|_| server.connect()).collect();
    let _warm = Latencies::during(&mut clients, Duration::from_millis(500));
    let alone = Latencies::during(&mut clients, Duration::from_secs(5));
    let flooding = server.connect();
    let over = AtomicBool::new(false);
    let requests = b"write 100\n".repeat(1_000);
    let beside = thread::scope(|scope| {
        scope.spawn(|| flood(&flooding, &requests, &over));
        let beside = Latencies::during(&mut clients, Duration::from_secs(5));
        over.store(true, Ordering::Relaxed);
        let _ = flooding.stream().shutdown(Shutdown::Both);
        beside
    });
    let (before, after) = (alone.quantile_us(0.99), beside.quantile_us(0.99));
    Verdict {
        figures: format!(
            "p99 of 100 that ping {after} us beside one that floods, {before} us alone ({} and {} answers)",
            beside.len(),
            alone.len()
        ),
        holds: after <= 3 * before,
    }
}

// R19: stops under load.
fn stops(mode: Mode, size: &Size) -> Verdict {
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
