//! Every byte the same and in order, both ways: random chunks through many connections at once, each checked against a
//! pattern in which every word tells its connection and its place.

use std::io::{Read, Write};
use std::thread;

use reactor_tests::peers::peer_server;
use reactor_tests::{Client, Mode, alone, assert_same_bytes, in_each_mode};

use crate::{Size, Verdict};

in_each_mode!(random_chunks_through_many_connections_come_back_the_same);

const CONNECTIONS: u64 = 64;
const GIB: usize = 1 << 30;

// R3: 10 GiB in random chunks through 64 connections.
pub(crate) fn integrity(mode: Mode, size: &Size) -> Verdict {
    let total = echo_through_many(mode, size.of(10 * GIB) as u64);
    Verdict {
        figures: format!("{total} bytes there and back through {CONNECTIONS} connections, each the same and in order"),
        holds: true,
    }
}

fn random_chunks_through_many_connections_come_back_the_same(mode: Mode) {
    let _alone = alone();
    echo_through_many(mode, 32 << 20);
}

/// Has `total` bytes echoed, the same number on each connection; says how many there were.
fn echo_through_many(mode: Mode, total: u64) -> u64 {
    let each = total.div_ceil(CONNECTIONS);
    let server = peer_server(mode, "framing=raw,quiet=1");
    thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            let reader = server.connect();
            let writer = reader.another_hand();
            scope.spawn(move || write_pattern(writer, number, each));
            scope.spawn(move || expect_pattern(&reader, number, each));
        }
    });
    server.stop().report.assert_nothing_lost();
    CONNECTIONS * each
}

fn write_pattern(mut writer: Client, connection: u64, count: u64) {
    let mut chunk = Vec::new();
    let mut at = 0;
    while at < count {
        chunk.resize(portion(connection, at, 128 * 1024, count - at), 0);
        fill_pattern(connection, at, &mut chunk);
        writer.stream().write_all(&chunk).unwrap_or_else(|error| panic!("connection {connection}, byte {at}: {error}"));
        at += chunk.len() as u64;
    }
    writer.finish();
}

fn expect_pattern(reader: &Client, connection: u64, count: u64) {
    let (mut received, mut due) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut at = 0;
    while at < count {
        let most = portion(!connection, at, received.len(), u64::MAX);
        let read = reader.stream().read(&mut received[..most]);
        let read = read.unwrap_or_else(|error| panic!("connection {connection}, byte {at}: {error}"));
        assert!(read > 0, "connection {connection} ended after {at} of {count} bytes");
        fill_pattern(connection, at, &mut due[..read]);
        if received[..read] != due[..read] {
            println!("connection {connection}, from byte {at} on:");
            assert_same_bytes(&received[..read], &due[..read]);
        }
        at += read as u64;
    }
    let end = reader.stream().read(&mut received);
    assert!(matches!(end, Ok(0)) && at == count, "connection {connection}: {end:?} after {at} of {count} bytes");
}

/// How many bytes go at once: one time in four a few, else up to `most`.
fn portion(seed: u64, at: u64, most: usize, left: u64) -> usize {
    let random = mix(seed ^ at.rotate_left(32));
    let most = if random.is_multiple_of(4) { 64 } else { most as u64 };
    // Not above `most`, which is a usize.
    ((random >> 2) % most + 1).min(left) as usize
}

/// The bytes of a connection from `at` on.
fn fill_pattern(connection: u64, at: u64, bytes: &mut [u8]) {
    let before = ((8 - at % 8) % 8).min(bytes.len() as u64) as usize;
    let (head, words) = bytes.split_at_mut(before);
    let first = at.div_ceil(8);
    let word = |index: u64| mix(connection << 40 | index).to_le_bytes();
    if before > 0 {
        let skipped = (at % 8) as usize;
        head.copy_from_slice(&word(at / 8)[skipped..skipped + before]);
    }
    for (place, bytes) in words.chunks_mut(8).enumerate() {
        bytes.copy_from_slice(&word(first + place as u64)[..bytes.len()]);
    }
}

/// One to one, and nothing like its argument (splitmix64, Steele, Lea, Flood 2014).
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[test]
fn the_pattern_is_the_same_however_it_is_cut() {
    let mut whole = [0; 100];
    fill_pattern(3, 5, &mut whole);
    for at in 0..100 {
        let mut parts = [0; 100];
        let (front, back) = parts.split_at_mut(at);
        fill_pattern(3, 5, front);
        fill_pattern(3, 5 + at as u64, back);
        assert_eq!(parts, whole, "cut at {at}");
    }
}
