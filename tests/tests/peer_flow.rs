//! What the suites of libuv, libevent and netty hold of flow and of hosts, against a C server: reading that stops and goes on,
//! fairness, work that is no longer wanted, and many reactors, forks and shared ports in one process.

use std::io::Read;
use std::thread;
use std::time::Duration;

use reactor_tests::load::{connect_narrow_from, flood_unread};
use reactor_tests::peers::{
    peer_server, peer_server_with_one_reactor, peer_server_with_two_reactors, processor_time, resident_bytes,
};
use reactor_tests::{Client, Mode, alone, alphabet, assert_same_bytes, in_each_mode, run_program, wait_until};
use socket2::SockRef;

in_each_mode!(
    a_server_whose_peers_do_not_read_stops_reading_and_rests,
    reading_that_was_stopped_goes_on_when_the_peer_reads,
    out_of_band_bytes_are_no_part_of_a_request,
    one_that_floods_starves_nobody,
    the_memory_that_a_flood_took_goes_back_to_the_system,
    requests_of_a_connection_that_reset_are_cancelled_while_queued,
    a_peer_that_sends_for_ever_gets_the_last_reply_and_the_end,
    many_servers_live_and_die_in_one_process,
    two_servers_share_a_port,
    a_fork_of_the_host_that_closes_everything_takes_nothing,
    a_fork_that_holds_the_sockets_does_not_keep_an_end_from_the_peer,
    a_unix_path_that_is_taken_or_too_long_is_refused,
);

fn paused(client: &mut Client) -> u64 {
    client.send(b"stats\n");
    let stats = String::from_utf8(client.receive_until(b"\n")).expect("the program writes ASCII");
    let field = stats.split(' ').find_map(|field| field.strip_prefix("paused="));
    field.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no paused= in {stats}"))
}

// libuv: "no busy loop while not reading". Eight peers flood and read nothing; when all stand still so does the server.
fn a_server_whose_peers_do_not_read_stops_reading_and_rests(mode: Mode) {
    let _alone = alone();
    let server = peer_server(mode, "high=16384,low=8192,quiet=1");
    let mut asking = server.connect();
    let peers: Vec<_> = (0..8).map(|_| server.connect()).collect();
    let requests = b"write 1000\n".repeat(1_000);
    for peer in &peers {
        // Until neither side's buffers take more for a while.
        peer.stream().set_write_timeout(Some(Duration::from_millis(100))).expect("the stream is open");
        while std::io::Write::write(&mut peer.stream(), &requests).is_ok() {}
    }
    assert!(paused(&mut asking) >= 8);
    let before = processor_time(server.pid());
    let idle = Duration::from_millis(300);
    asking.stream().set_read_timeout(Some(idle)).expect("the stream is open");
    assert!(asking.stream().read(&mut [0]).is_err(), "nobody asked");
    let used = processor_time(server.pid()) - before;
    assert!(used < idle / 5, "it used {used:?} of {idle:?} while it could neither read nor write");
}

// libuv: tcp-read-stop-start; netty: auto-read and water marks.
fn reading_that_was_stopped_goes_on_when_the_peer_reads(mode: Mode) {
    const REQUESTS: usize = 20_000;
    let server = peer_server(mode, "high=16384,low=8192,quiet=1");
    let mut asking = server.connect();
    let mut client = server.connect();
    let mut writer = client.another_hand();
    thread::scope(|scope| {
        scope.spawn(move || {
            writer.send(&b"write 1000\n".repeat(REQUESTS));
            writer.finish();
        });
        wait_until("reading to pause", || paused(&mut asking) > 0);
        let reply = alphabet(1_000);
        for _ in 0..REQUESTS {
            assert_same_bytes(&client.receive(reply.len()), &reply);
        }
        client.expect_end();
    });
    let stopped = server.stop_with(vec![asking]);
    stopped.report.assert_nothing_lost();
}

// libuv: tcp-oob.
fn out_of_band_bytes_are_no_part_of_a_request(mode: Mode) {
    let server = peer_server(mode, "quiet=1");
    let mut client = server.connect();
    for _ in 0..20 {
        client.send(b"echo be");
        let urgent = SockRef::from(client.stream()).send_out_of_band(b"!").expect("the connection stands");
        assert_eq!(urgent, 1);
        client.ask(b"fore\n", b"echo before\n");
    }
    client.ask(b"write 3\n", b"abc");
    server.stop_with(vec![client]).report.assert_nothing_lost();
}

// libuv: starvation. One that always has more does not keep the others from their turn: they are served while it floods.
fn one_that_floods_starves_nobody(mode: Mode) {
    let _alone = alone();
    let server = peer_server_with_one_reactor(mode, "quiet=1");
    let flood = server.connect();
    let drain = flood.another_hand();
    let mut others: Vec<_> = (0..20).map(|_| server.connect()).collect();
    thread::scope(|scope| {
        scope.spawn(move || {
            let requests = b"write 100\n".repeat(1_000);
            // Fails when the test is through and ends the connection.
            while std::io::Write::write_all(&mut flood.stream(), &requests).is_ok() {}
        });
        let mut first = drain.another_hand();
        assert_same_bytes(&first.receive(100_000), &alphabet(100).repeat(1_000));
        let ends = drain.another_hand();
        scope.spawn(move || {
            let mut bytes = vec![0; 65_536];
            while matches!(drain.stream().read(&mut bytes), Ok(1..)) {}
        });
        for _ in 0..10 {
            others.iter_mut().for_each(|other| other.ask(b"echo ping\n", b"echo ping\n"));
        }
        // It has not been cut meanwhile, and has still more to ask.
        let standing = ends.stream().shutdown(std::net::Shutdown::Both);
        assert!(standing.is_ok(), "{standing:?}");
    });
    drop(others);
    server.stop();
}

// Beyond the peers' suites: a process that was flooded once does not stay as large as it was then.
fn the_memory_that_a_flood_took_goes_back_to_the_system(mode: Mode) {
    const LIMIT: u64 = 16 * 1024 * 1024;
    let _alone = alone();
    // Each reactor and each worker keeps some of it for itself.
    let server = peer_server_with_two_reactors(mode, "quiet=1,memory=16777216,frame=65536");
    let mut asking = server.connect();
    asking.ask(b"write 1\n", b"a");
    let idle = resident_bytes(server.pid());
    let streams: Vec<_> = (0..400).map(|number| connect_narrow_from(number, server.address())).collect();
    let line = [b"echo ".to_vec(), vec![b'x'; 48 * 1024], b"\n".to_vec()].concat();
    flood_unread(&streams, &line, Duration::from_millis(200), Duration::from_secs(20), || {});
    let flooded = resident_bytes(server.pid());
    assert!(flooded > idle + LIMIT / 2, "{flooded} bytes, {idle} before: that was no flood");
    drop(streams);
    wait_until("the memory to go back", || resident_bytes(server.pid()) < idle + LIMIT / 4);
    asking.ask(b"write 1\n", b"a");
}

// libuv: threadpool-cancel. What a peer asked before it reset never begins, where it had not begun.
fn requests_of_a_connection_that_reset_are_cancelled_while_queued(mode: Mode) {
    let mut server = peer_server_with_one_reactor(mode, "");
    // All four workers, or the one loop, stand in a callback.
    let busy = if mode.has_workers() { 4 } else { 1 };
    let mut gates: Vec<_> = (0..busy).map(|_| server.connect()).collect();
    for gate in &mut gates {
        gate.send(b"gate\n");
        server.expect_line("process waits");
    }
    let mut victim = server.connect();
    victim.send(&b"count\n".repeat(100));
    victim.wait_until_delivered();
    if mode.has_workers() {
        // The loop has read them when it has accepted one that came after another that it has accepted later: it reads in
        // the turn that follows, before it accepts.
        server.expect_lines(gates.len() + 1, "open ");
        for _ in 0..2 {
            drop(server.connect());
            server.expect_line("open ");
        }
    }
    victim.reset();
    if mode.has_workers() {
        server.expect_lines(3, "close ");
    }
    server.tell("go 0");
    gates.iter_mut().for_each(|gate| assert_same_bytes(&gate.receive(5), b"gate\n"));
    let stopped = server.stop_with(gates);
    stopped.report.assert_nothing_lost();
    if mode.has_workers() {
        assert_eq!(stopped.count("counted"), 0, "{:#?}", stopped.lines);
    }
    // Else the bytes may have been read before the reset: that they do no harm is all there is to see.
}

// netty: lingering close. A peer that never stops sending does not lose the last reply to a reset.
fn a_peer_that_sends_for_ever_gets_the_last_reply_and_the_end(mode: Mode) {
    let server = peer_server(mode, "quiet=1");
    for _ in 0..5 {
        let mut client = server.connect();
        let writer = client.another_hand();
        thread::scope(|scope| {
            scope.spawn(move || {
                let requests = [b"close 200000\n".to_vec(), b"write 1\n".repeat(1_000)].concat();
                for _ in 0..20 {
                    // Fails where the server has closed.
                    if std::io::Write::write_all(&mut writer.stream(), &requests).is_err() {
                        break;
                    }
                }
            });
            assert_same_bytes(&client.receive(200_000), &alphabet(200_000));
            client.expect_dropped();
        });
    }
    server.stop().report.assert_nothing_lost();
}

fn host(mode: Mode, variant: &str) {
    run_program("peer_hosts", &[mode.args(), &["--variant", variant]].concat());
}

// libuv: several loops in one process.
fn many_servers_live_and_die_in_one_process(mode: Mode) {
    host(mode, "many-servers");
}

// libuv: tcp-reuseport.
fn two_servers_share_a_port(mode: Mode) {
    host(mode, "reuse-port");
}

// libuv: fork, close in the child.
fn a_fork_of_the_host_that_closes_everything_takes_nothing(mode: Mode) {
    host(mode, "fork");
}

// A child that holds copies of the sockets: a close alone would send no FIN, a shutdown does.
fn a_fork_that_holds_the_sockets_does_not_keep_an_end_from_the_peer(mode: Mode) {
    host(mode, "fork-holds-sockets");
}

// libuv: pipe-bind-error. Path in use, path too long.
fn a_unix_path_that_is_taken_or_too_long_is_refused(mode: Mode) {
    host(mode, "unix-paths");
}
