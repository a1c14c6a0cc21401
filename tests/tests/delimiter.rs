//! Delimiter framing finds its frames however the bytes arrive.

use std::thread;

use reactor_tests::{
    Client, Mode, Server, alphabet, assert_closed, assert_same_bytes, in_each_mode, in_each_mode_of_node,
};

in_each_mode!(
    a_request_split_at_each_place_is_one_request,
    a_request_of_one_byte_a_write_is_one_request,
    a_thousand_pipelined_requests_get_a_thousand_replies,
    requests_before_a_half_close_are_all_answered,
    a_partial_frame_at_the_end_of_input_is_a_protocol_error,
    a_frame_that_passes_the_limit_ends_its_connection,
);

in_each_mode_of_node!(
    a_request_split_at_each_place_is_one_request,
    a_request_of_one_byte_a_write_is_one_request,
    a_thousand_pipelined_requests_get_a_thousand_replies,
    requests_before_a_half_close_are_all_answered,
    a_partial_frame_at_the_end_of_input_is_a_protocol_error,
    a_frame_that_passes_the_limit_ends_its_connection,
);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// One request's reply, checked; every other reply has to be the same.
fn mock_reply(client: &mut Client) -> Vec<u8> {
    client.send(REQUEST);
    let head = client.receive_until(b"\r\n\r\n");
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    assert!(text.starts_with("http/1.1 200 "), "{text}");
    assert!(text.contains("\r\ncontent-length: 6\r\n"), "{text}");
    let body = client.receive(6);
    assert_same_bytes(&body, b"hello\n");
    [head, body].concat()
}

/// Connections that fill up every reactor beside one subject, so that each reactor has as many as the others: those that
/// share the subject's reactor show when it has read.
struct Fence {
    others: Vec<Client>,
    reply: Vec<u8>,
}

impl Fence {
    fn beside_one(server: &Server, mode: Mode) -> Fence {
        let reactors = if mode.has_main_reactor() { thread::available_parallelism().map_or(1, usize::from) } else { 1 };
        let mut others: Vec<_> = (0..2 * reactors - 1).map(|_| server.connect()).collect();
        let reply = mock_reply(&mut others[0]);
        others.iter_mut().for_each(|other| other.ask(REQUEST, &reply));
        Fence { others, reply }
    }

    /// Returns when every loop has read what was delivered before the call: the first answer comes in a turn that may have
    /// begun before, the second in a later one.
    fn pass(&mut self) {
        for _ in 0..2 {
            self.others.iter_mut().for_each(|other| other.send(REQUEST));
            let due = self.reply.len();
            self.others.iter_mut().for_each(|other| assert_same_bytes(&other.receive(due), &self.reply));
        }
    }
}

fn a_request_split_at_each_place_is_one_request(mode: Mode) {
    let server = Server::example_in(mode, "http_mock", &[]);
    let mut client = server.connect();
    let mut fence = Fence::beside_one(&server, mode);
    let reply = fence.reply.clone();
    for place in 1..REQUEST.len() {
        let (before, after) = REQUEST.split_at(place);
        client.send(before);
        client.wait_until_delivered();
        fence.pass();
        client.expect_nothing_yet();
        client.ask(after, &reply);
    }
    client.finish();
    client.expect_end();
    drop(fence);
    server.stop().report.assert_nothing_lost();
}

fn a_request_of_one_byte_a_write_is_one_request(mode: Mode) {
    let server = Server::example_in(mode, "http_mock", &[]);
    let mut client = server.connect();
    let mut fence = Fence::beside_one(&server, mode);
    let reply = fence.reply.clone();
    for byte in REQUEST {
        client.expect_nothing_yet();
        client.send(&[*byte]);
        client.wait_until_delivered();
        fence.pass();
    }
    assert_same_bytes(&client.receive(reply.len()), &reply);
    // Again and again without waiting: the bytes fall into reads as they may.
    for _ in 0..100 {
        REQUEST.iter().for_each(|byte| client.send(&[*byte]));
        assert_same_bytes(&client.receive(reply.len()), &reply);
    }
    client.finish();
    client.expect_end();
}

fn a_thousand_pipelined_requests_get_a_thousand_replies(mode: Mode) {
    let server = Server::example_in(mode, "http_mock", &[]);
    let mut client = server.connect();
    let reply = mock_reply(&mut client);
    let mut writer = client.another_hand();
    thread::scope(|scope| {
        scope.spawn(move || writer.send(&REQUEST.repeat(1_000)));
        assert_same_bytes(&client.receive(1_000 * reply.len()), &reply.repeat(1_000));
    });
    client.finish();
    client.expect_end();
    server.stop().report.assert_nothing_lost();
}

fn requests_before_a_half_close_are_all_answered(mode: Mode) {
    let server = Server::example_in(mode, "http_mock", &[]);
    let reply = mock_reply(&mut server.connect());
    let replies = server.connect().exchange(&REQUEST.repeat(1_000));
    assert_same_bytes(&replies, &reply.repeat(1_000));
}

fn a_partial_frame_at_the_end_of_input_is_a_protocol_error(mode: Mode) {
    let mut server = Server::program_in(mode, "commands", &[]);
    let mut client = server.connect();
    client.send(b"write 5\nwri");
    client.finish();
    assert_same_bytes(&client.receive_to_end(), &alphabet(5));
    assert_closed(&server.expect_line("close "), "PROTOCOL_ERROR");
}

fn a_frame_that_passes_the_limit_ends_its_connection(mode: Mode) {
    let mut server = Server::program_in(mode, "commands", &[]);
    let mut client = server.connect();
    // The limit is 1 MiB unless told.
    let bytes = [b"write 5\n".to_vec(), vec![b'x'; 1024 * 1024 + 1]].concat();
    let mut writer = client.another_hand();
    thread::scope(|scope| {
        scope.spawn(move || writer.send(&bytes));
        assert_same_bytes(&client.receive_to_end(), &alphabet(5));
    });
    client.finish();
    assert_closed(&server.expect_line("close "), "FRAME_TOO_LARGE");
}
