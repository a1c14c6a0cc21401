//! What callbacks may rely on. The C program checks it from inside them and ends with an error where it does not hold.

use reactor_tests::{Mode, Server, in_each_mode, in_each_mode_of_node};

in_each_mode!(callbacks_know_their_reactor_and_user_data_is_freed_once_and_last);

in_each_mode_of_node!(callbacks_know_their_reactor_and_user_data_is_freed_once_and_last,);

fn callbacks_know_their_reactor_and_user_data_is_freed_once_and_last(mode: Mode) {
    let mut server = Server::program_in(mode, "callbacks", &[]);
    let mut clients: Vec<_> = (0..16).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.ask(b"ping", b"ping");
    }
    for mut client in clients.drain(..8) {
        client.finish();
        client.expect_end();
    }
    server.expect_lines(8, "current close");
    let stopped = server.stop_with(clients);
    stopped.report.assert_nothing_lost();
    assert_eq!(stopped.report.drained, 8);
    assert_eq!(stopped.count("current open"), 16);
    assert_eq!(stopped.count("current process"), 16);
    assert_eq!(stopped.count("current close"), 16);
    // JavaScript has no user_data, and its collector is nobody's to call.
    let expected: &[_] =
        if mode.is_node() { &["wait OK", "stopped: "] } else { &["user_data_free", "wait OK", "stopped: ", "free OK"] };
    let tail = &stopped.lines[stopped.lines.len() - expected.len()..];
    assert!(tail.iter().zip(expected).all(|(line, start)| line.starts_with(*start)), "{tail:#?}");
    assert_eq!(stopped.count("user_data_free"), usize::from(!mode.is_node()));
}
