//! Mixed load over all modes for as long as asked, sampled (R25). `cargo xtask soak --minutes N` runs it and draws the samples.

use std::env;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use reactor_tests::load::{Latencies, connect_from, raise_descriptor_limit};
use reactor_tests::peers::{peer_server, resident_bytes};
use reactor_tests::{Client, Mode, Server, alphabet, assert_same_bytes, descriptors, pseudo_random_bytes, wait_until};

const MODES: [(&str, Mode); 4] = [
    ("single", Mode::Single),
    ("pooled", Mode::Pooled),
    ("multi", Mode::Multi),
    ("multi-with-workers", Mode::MultiWithWorkers),
];

/// About half of what two cores do: each kind of load rests as long as it works.
fn rest_as_long_as(worked: Duration) {
    thread::sleep(worked.min(Duration::from_millis(50)));
}

#[test]
#[ignore = "as long as asked: cargo xtask soak --minutes N"]
fn soak() {
    let seconds = env::var("REACTOR_SOAK_SECONDS").expect("cargo xtask soak says how long");
    let time = Duration::from_secs(seconds.parse().expect("a number of seconds"));
    let path = env::var("REACTOR_SOAK_CSV").expect("cargo xtask soak says where to");
    let mut samples = BufWriter::new(File::create(&path).unwrap_or_else(|error| panic!("making {path}: {error}")));
    writeln!(samples, "seconds,mode,resident_bytes,descriptors,p99_us,answers").expect("the disk has room");
    raise_descriptor_limit();

    let servers: Vec<_> = MODES.map(|(name, mode)| (name, peer_server(mode, "quiet=1"))).into();
    let before: Vec<_> = servers.iter().map(|(_, server)| descriptors(server.pid())).collect();
    let over = AtomicBool::new(false);
    let counts = [const { AtomicU64::new(0) }; 4];
    let begun = Instant::now();
    // A sample in ten seconds; at least a hundred of them.
    let every = (time / 100).clamp(Duration::from_millis(250), Duration::from_secs(10));
    thread::scope(|scope| {
        let stop = StopAtEnd(&over);
        for ((_, server), count) in servers.iter().zip(&counts) {
            let (address, over) = (server.address(), &over);
            scope.spawn(move || pipelined(address, over, count));
            scope.spawn(move || comes_and_goes(address, over, count));
            scope.spawn(move || moves_megabytes(address, over, count));
        }
        let mut probes: Vec<_> = servers.iter().map(|(_, server)| [server.connect()]).collect();
        while begun.elapsed() < time {
            let end = begun.elapsed() + every;
            let share = every / 4;
            for (index, (name, server)) in servers.iter().enumerate() {
                let latencies = probe(&mut probes[index], share);
                let (memory, open) = (resident_bytes(server.pid()), descriptors(server.pid()));
                let (p99, answers) = (latencies.quantile_us(0.99), counts[index].load(Ordering::Relaxed));
                let at = begun.elapsed().as_secs_f64();
                writeln!(samples, "{at:.1},{name},{memory},{open},{p99},{answers}").expect("the disk has room");
            }
            samples.flush().expect("the disk has room");
            println!("{:.0} s of {} s, {} answers", end.as_secs_f64(), time.as_secs(), total(&counts));
        }
        drop(stop);
    });
    for ((name, server), before) in servers.into_iter().zip(before) {
        finish(name, server, before);
    }
    println!("{} answers, each right", total(&counts));
}

fn total(counts: &[AtomicU64]) -> u64 {
    counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
}

/// Also where a check fails: the scope waits for its threads.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A few answers now and then, for as long as `share`.
fn probe(client: &mut [Client; 1], share: Duration) -> Latencies {
    let end = Instant::now() + share;
    Latencies::of(client, |_| {
        thread::sleep(Duration::from_micros(500));
        Instant::now() >= end
    })
}

/// Descriptors are as many as before, and nothing stayed unanswered.
fn finish(name: &str, server: Server, before: usize) {
    wait_until("all connections to be closed", || descriptors(server.pid()) <= before);
    let stopped = server.stop();
    stopped.report.assert_nothing_lost();
    println!("{name}: drained, {before} descriptors before and after");
}

fn pipelined(address: SocketAddr, over: &AtomicBool, count: &AtomicU64) {
    let mut client = Client::connect(address);
    let requests = b"write 200\n".repeat(50);
    let replies = alphabet(200).repeat(50);
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        client.ask(&requests, &replies);
        count.fetch_add(50, Ordering::Relaxed);
        rest_as_long_as(began.elapsed());
    }
    client.finish();
    client.expect_end();
}

/// One in eight resets in the middle of a reply, one closes by the server's wish, the others end in good order.
fn comes_and_goes(address: SocketAddr, over: &AtomicBool, count: &AtomicU64) {
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let began = Instant::now();
        let mut stream = connect_from(number, address);
        if number % 8 == 0 {
            stream.write_all(b"write 300000\n").expect("the server takes a line");
            stream.read_exact(&mut [0; 1_000]).expect("the reply begins");
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("any socket takes SO_LINGER");
        } else {
            let line: &[u8] = if number % 8 == 1 { b"close 30\n" } else { b"write 30\n" };
            stream.write_all(line).expect("the server takes a line");
            let mut reply = [0; 30];
            stream.read_exact(&mut reply).expect("the server answers a line");
            assert_same_bytes(&reply, &alphabet(30));
        }
        count.fetch_add(1, Ordering::Relaxed);
        drop(stream);
        rest_as_long_as(began.elapsed());
    }
}

fn moves_megabytes(address: SocketAddr, over: &AtomicBool, count: &AtomicU64) {
    static ROUNDS: Mutex<u64> = Mutex::new(0);
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let seed = {
            let mut rounds = ROUNDS.lock().expect("nobody panics while it is held");
            *rounds += 1;
            *rounds
        };
        let text: Vec<u8> = pseudo_random_bytes(500_000, seed).into_iter().map(|byte| b'a' + byte % 26).collect();
        let line = [b"echo ", &text[..], b"\n"].concat();
        let echoed = Client::connect(address).exchange(&line);
        assert_same_bytes(&echoed, &line);
        count.fetch_add(1, Ordering::Relaxed);
        rest_as_long_as(began.elapsed());
    }
}
