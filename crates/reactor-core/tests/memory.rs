//! Owns the promises about the memory of a whole process: R11 and R14 of the reliability rows, and what an idle
//! connection costs. Each measurement has a process of its own. Knows the public API alone.

#[expect(dead_code, unused_imports, reason = "each suite uses its part")]
mod harness;

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use harness::{
    Client, Wiring, child_setting, connections, echo, in_a_process_of_its_own, in_each_mode, narrow, prefix, serve,
    until,
};
use reactor_core::{Framing, Server};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

in_each_mode!(
    clients_that_never_read_cost_what_the_limits_say,
    a_flood_of_whole_frames_stays_within_memory_limit,
    a_flood_of_partial_frames_stays_within_memory_limit,
    an_idle_connection_costs_few_bytes,
);

fn clients_that_never_read_cost_what_the_limits_say(wiring: Wiring) {
    in_a_process_of_its_own("measure_clients_that_never_read", &format!("{wiring:?}"));
}

fn a_flood_of_whole_frames_stays_within_memory_limit(wiring: Wiring) {
    in_a_process_of_its_own("measure_a_flood_of_whole_frames", &format!("{wiring:?}"));
}

fn a_flood_of_partial_frames_stays_within_memory_limit(wiring: Wiring) {
    in_a_process_of_its_own("measure_a_flood_of_partial_frames", &format!("{wiring:?}"));
}

fn an_idle_connection_costs_few_bytes(wiring: Wiring) {
    in_a_process_of_its_own("measure_idle_connections", &format!("{wiring:?}"));
}

/// What the process has in memory now, in bytes (proc(5), status: VmRSS is in kB, whatever the size of a page).
fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("proc is there");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("every process has it");
    let kib: usize = resident.trim().trim_end_matches(" kB").parse().expect("it is a number of kB");
    kib * KIB
}

/// A client that takes little and never reads. No buffer of it counts: those of the system are no part of the process.
/// With the segments of loopback, 64 KiB each, thousands of them would use up what the system has for TCP (tcp(7), tcp_mem).
fn connect(address: SocketAddr) -> TcpStream {
    let socket = narrow(address);
    socket.set_send_buffer_size(64 * KIB).expect("a buffer may be small");
    socket.connect(&address.into()).expect("the server accepts");
    socket.set_nonblocking(true).expect("a socket can be");
    socket.into()
}

fn connect_all(server: &Server, count: usize) -> Vec<TcpStream> {
    let address = server.local_address().parse().expect("an address with a port");
    let mut clients = Vec::with_capacity(count);
    clients.resize_with(count, || connect(address));
    until("all are open", || open(server) == count as u64);
    clients
}

fn open(server: &Server) -> u64 {
    server.stats(None).expect("all of them").connections_open
}

/// Sends `stream` over and over, from where each client stopped, up to `most` bytes each, until nobody takes any more;
/// says how much memory the process had at the most.
fn flood(server: &Server, clients: &[TcpStream], stream: &[u8], most: usize) -> usize {
    let mut sent = vec![0; clients.len()];
    let mut peak = resident_bytes();
    until("nobody takes any more", || {
        let before = server.stats(None).expect("all of them").bytes_in;
        let taken: usize = clients.iter().zip(&mut sent).map(|(client, sent)| pour(client, stream, sent, most)).sum();
        peak = peak.max(resident_bytes());
        taken == 0
            && !harness::comes_within(Duration::from_millis(200), || {
                peak = peak.max(resident_bytes());
                server.stats(None).expect("all of them").bytes_in != before
            })
    });
    peak
}

fn pour(mut client: &TcpStream, stream: &[u8], sent: &mut usize, most: usize) -> usize {
    let mut taken = 0;
    while *sent < most {
        let at = *sent % stream.len();
        let end = stream.len().min(at.saturating_add(most - *sent));
        match client.write(&stream[at..end]) {
            Ok(len) => {
                *sent += len;
                taken += len;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("a client that floods was cut: {error}"),
        }
    }
    taken
}

/// How many never read: CLIENTS_THAT_NEVER_READ, or what takes a few seconds.
fn clients_that_never_read() -> usize {
    connections(setting("CLIENTS_THAT_NEVER_READ").unwrap_or(200))
}

fn setting(name: &str) -> Option<usize> {
    std::env::var(name).ok().and_then(|count| count.parse().ok())
}

#[test]
#[ignore = "run in a process of its own by clients_that_never_read_cost_what_the_limits_say"]
fn measure_clients_that_never_read() {
    const HIGH: usize = 64 * KIB;
    const IN_FLIGHT: usize = 64;
    const REPLY: usize = 1_000;
    let Some(wiring) = child_setting().map(|name| Wiring::named(&name)) else { return };
    let (server, _events) = serve(
        wiring,
        |options| {
            options.set_framing(Framing::Fixed(REPLY)).expect("in range");
            options.set_output_water_marks(HIGH / 2, HIGH).expect("in order");
            options.set_max_in_flight(IN_FLIGHT as u32).expect("in range");
        },
        echo,
    );
    let other = Client::connect(&server);
    other.ping(&[b'p'; REPLY]);
    let count = clients_that_never_read();
    let clients = connect_all_beside(&server, count, 1);
    let before = resident_bytes();
    let mut peak = flood(&server, &clients, &[b'f'; REPLY], usize::MAX);
    for _ in 0..100 {
        other.ping(&[b'p'; REPLY]);
    }
    peak = peak.max(resident_bytes());
    assert!(server.stats(None).expect("all of them").reads_paused >= count as u64, "not all of them were paused");
    let grown = peak - before;
    let limit = count * (HIGH + IN_FLIGHT * REPLY + 64 * KIB);
    println!("{wiring:?}: {count} clients that never read: {grown} bytes, limit {limit}");
    assert!(grown <= limit + limit / 10, "{grown} bytes for {count} clients that never read; the limit is {limit}");
}

fn connect_all_beside(server: &Server, count: usize, others: u64) -> Vec<TcpStream> {
    let address = server.local_address().parse().expect("an address with a port");
    let clients: Vec<TcpStream> = (0..count).map(|_| connect(address)).collect();
    until("all are open", || open(server) == count as u64 + others);
    clients
}

/// How many flood: FLOOD_CONNECTIONS, or what takes a few seconds.
fn flooders() -> usize {
    connections(setting("FLOOD_CONNECTIONS").unwrap_or(2_000))
}

const MEMORY_LIMIT: usize = 64 * MIB;
const FRAME: usize = 48 * KIB;

fn measure_flood(what: &str, most: usize) {
    let Some(wiring) = child_setting().map(|name| Wiring::named(&name)) else { return };
    let count = flooders();
    // Where the hard limit of descriptors lets fewer flood, they have to be too many for memory_limit all the same.
    let memory_limit = MEMORY_LIMIT.min(count * FRAME * 3 / 4);
    let (server, _events) = serve(
        wiring,
        |options| {
            options.set_framing(prefix(4, false)).expect("in range").set_max_frame_bytes(64 * KIB).expect("in range");
            options.set_memory_limit_bytes(memory_limit).expect("in range");
        },
        echo,
    );
    let clients = connect_all(&server, count);
    let idle = resident_bytes();
    let frame = harness::count(&harness::pattern(1, FRAME - 4));
    let peak = flood(&server, &clients, &frame, most);
    let stats = server.stats(None).expect("all of them");
    let limit = memory_limit + memory_limit / 4 + idle;
    println!(
        "{wiring:?}: {count} connections that flood {what}: {peak} bytes resident, limit {limit}, idle {idle}, counted {}",
        stats.memory_bytes
    );
    assert!(stats.reads_paused > 0, "nothing was held back");
    let counted = stats.memory_bytes as usize;
    assert!(counted <= memory_limit + memory_limit / 16, "{counted} bytes are counted; memory_limit is {memory_limit}");
    assert!(peak <= limit, "{peak} bytes resident; what is allowed, and idle, are {limit}");
}

#[test]
#[ignore = "run in a process of its own by a_flood_of_whole_frames_stays_within_memory_limit"]
fn measure_a_flood_of_whole_frames() {
    measure_flood("with whole frames", usize::MAX);
}

#[test]
#[ignore = "run in a process of its own by a_flood_of_partial_frames_stays_within_memory_limit"]
fn measure_a_flood_of_partial_frames() {
    measure_flood("with all but the last byte of a frame", FRAME - 1);
}

#[test]
#[ignore = "run in a process of its own by an_idle_connection_costs_few_bytes"]
fn measure_idle_connections() {
    let Some(wiring) = child_setting().map(|name| Wiring::named(&name)) else { return };
    let count = connections(4_000);
    let (server, _events) = serve(wiring, |_| {}, echo);
    // What the first connection costs once, and the test's own list of sockets, are no part of it.
    drop(connect_all(&server, 10));
    until("they are gone", || open(&server) == 0);
    let before = resident_bytes();
    let clients = connect_all(&server, count);
    let each = || resident_bytes().saturating_sub(before) as f64 / count as f64;
    // A connection comes to rest some time after it was last busy.
    harness::comes_within(Duration::from_secs(5), || each() <= 224.0);
    let each = each();
    println!("{wiring:?}: {count} idle connections: {each:.0} bytes each");
    assert!(each <= 400.0, "{each:.0} bytes for each idle connection");
    drop(clients);
}
