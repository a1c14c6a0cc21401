//! What the process holds at most while its clients do not read, or flood it.

use std::time::Duration;

use reactor_tests::load::{Latencies, connect_from, connect_narrow_from, flood_unread};
use reactor_tests::peers::{forget_peak, peak_bytes, peer_server, resident_bytes};
use reactor_tests::{Mode, alphabet, wait_until};

use crate::{MIB, Size, Verdict};

// R11: a thousand clients that never read.
pub(crate) fn slow_readers(mode: Mode, size: &Size) -> Verdict {
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

// R14: memory_limit 64 MiB under a flood of ten thousand, and while they leave; and what is left of it then.
pub(crate) fn flooded(mode: Mode, size: &Size) -> Verdict {
    const LIMIT: f64 = 64.0 * MIB;
    let count = size.of(9_900);
    let server = peer_server(mode, "quiet=1,memory=67108864,frame=65536");
    let mut bystander = server.connect();
    bystander.ask(b"write 1\n", b"a");
    let streams: Vec<_> = (0..count).map(|number| connect_narrow_from(number, server.address())).collect();
    wait_until("all to be open", || {
        bystander.send(b"stats\n");
        let stats = bystander.receive_until(b"\n");
        stats.starts_with(format!("open={} ", count + 1).as_bytes())
    });
    let idle = resident_bytes(server.pid()) as f64;
    forget_peak(server.pid());
    let line = [b"echo ".to_vec(), vec![b'x'; 48 * 1024], b"\n".to_vec()].concat();
    flood_unread(&streams, &line, Duration::from_secs(1), Duration::from_secs(60), || {});
    drop(streams);
    wait_until("all to be closed", || {
        bystander.send(b"stats\n");
        bystander.receive_until(b"\n").starts_with(b"open=1 ")
    });
    // The reply leaves before its turn ends, and the memory is given back at that end.
    bystander.ask(b"write 1\n", b"a");
    let left = resident_bytes(server.pid()) as f64;
    let peak = peak_bytes(server.pid()) as f64;
    let limit = LIMIT * 1.25 + idle;
    Verdict {
        figures: format!(
            "{count} that flood: {:.1} MiB at most, idle {:.1} MiB, the limit is {:.1} MiB; {:.1} MiB once they had gone",
            peak / MIB,
            idle / MIB,
            limit / MIB,
            left / MIB
        ),
        holds: peak <= limit && left <= idle + LIMIT / 4.0,
    }
}
