//! Echo gives back what it was sent: every byte of every size, to every connection.

use reactor_tests::load::connections;
use reactor_tests::{Mode, Server, alone, assert_same_bytes, in_each_mode, in_each_mode_of_node, pseudo_random_bytes};

in_each_mode!(
    every_byte_comes_back_whatever_the_size,
    every_byte_comes_back_when_the_client_ends_its_side_first,
    a_thousand_connections_at_once_are_each_answered,
    many_connections_with_large_messages_do_not_mix,
);

in_each_mode_of_node!(
    every_byte_comes_back_whatever_the_size,
    every_byte_comes_back_when_the_client_ends_its_side_first,
    a_thousand_connections_at_once_are_each_answered,
    many_connections_with_large_messages_do_not_mix,
);

const KIB: usize = 1024;
/// Around the size of the read buffer, and well past every limit on a frame, a reply or unsent output.
const SIZES: [usize; 8] = [1, 2, KIB, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, KIB * KIB, 8 * KIB * KIB];

fn echo(mode: Mode) -> Server {
    Server::example_in(mode, "echo", &["--compute-ms", "0"])
}

fn every_byte_comes_back_whatever_the_size(mode: Mode) {
    let server = echo(mode);
    let mut client = server.connect();
    for size in SIZES {
        let bytes = pseudo_random_bytes(size, size as u64);
        let mut writer = client.another_hand();
        std::thread::scope(|scope| {
            scope.spawn(|| writer.send(&bytes));
            assert_same_bytes(&client.receive(size), &bytes);
        });
    }
    client.finish();
    client.expect_end();
    server.stop().report.assert_nothing_lost();
}

fn every_byte_comes_back_when_the_client_ends_its_side_first(mode: Mode) {
    let server = echo(mode);
    for size in SIZES {
        let bytes = pseudo_random_bytes(size, size as u64 + 1);
        assert_same_bytes(&server.connect().exchange(&bytes), &bytes);
    }
    server.stop().report.assert_nothing_lost();
}

fn a_thousand_connections_at_once_are_each_answered(mode: Mode) {
    let _alone = alone();
    let server = echo(mode);
    // Fewer where the hard limit of descriptors is.
    let mut clients: Vec<_> = (0..connections(1_000)).map(|_| server.connect()).collect();
    let message = |index| format!("({index}) message 1\n({index}) message 2\n").into_bytes();
    for (index, client) in clients.iter_mut().enumerate() {
        client.send(&message(index));
    }
    for (index, client) in clients.iter_mut().enumerate() {
        assert_same_bytes(&client.receive(message(index).len()), &message(index));
    }
    // All of them still stand; the last word of each is answered too.
    for client in &mut clients {
        client.send(b"bye");
        client.finish();
    }
    for client in &mut clients {
        assert_same_bytes(&client.receive_to_end(), b"bye");
    }
    server.stop().report.assert_nothing_lost();
}

fn many_connections_with_large_messages_do_not_mix(mode: Mode) {
    let _alone = alone();
    let server = echo(mode);
    let address = server.address();
    std::thread::scope(|scope| {
        for seed in 0..16 {
            scope.spawn(move || {
                let bytes = pseudo_random_bytes(300_000 + seed, seed as u64 + 100);
                assert_same_bytes(&reactor_tests::Client::connect(address).exchange(&bytes), &bytes);
            });
        }
    });
    server.stop().report.assert_nothing_lost();
}
