//! The examples in which the server sends what no request asked for, or answers later, do what they say.

use std::collections::HashMap;

use reactor_tests::{
    Client, Mode, Server, alone, assert_same_bytes, in_each_mode, in_each_mode_of_node, in_each_mode_of_node_functions,
    pseudo_random_bytes,
};

in_each_mode!(
    chat_tells_all_what_each_says_in_the_order_it_is_said,
    chat_greets_and_tells_who_comes_and_goes,
    chat_greets_first_whatever_is_being_said,
    chat_shows_out_a_guest_whose_line_is_too_long,
    deferred_answers_a_hundred_pipelined_requests_in_their_order,
    deferred_forgets_a_client_that_does_not_wait,
    deferred_keeps_its_promises_before_it_stops,
    length_prefix_does_each_operation,
    length_prefix_answers_an_error_to_what_it_does_not_know,
    length_prefix_finds_its_messages_however_they_are_cut,
    length_prefix_takes_the_longest_message_and_none_that_is_longer,
);

// The guests of a chat are one list, which modules on several threads do not share.
in_each_mode_of_node_functions!(
    chat_tells_all_what_each_says_in_the_order_it_is_said,
    chat_greets_and_tells_who_comes_and_goes,
    chat_greets_first_whatever_is_being_said,
    chat_shows_out_a_guest_whose_line_is_too_long,
);

in_each_mode_of_node!(
    deferred_answers_a_hundred_pipelined_requests_in_their_order,
    deferred_forgets_a_client_that_does_not_wait,
    deferred_keeps_its_promises_before_it_stops,
    length_prefix_does_each_operation,
    length_prefix_answers_an_error_to_what_it_does_not_know,
    length_prefix_finds_its_messages_however_they_are_cut,
    length_prefix_takes_the_longest_message_and_none_that_is_longer,
);

// ---- chat --------------------------------------------------------------------------------------

fn line(client: &mut Client) -> String {
    let mut bytes = client.receive_until(b"\n");
    bytes.pop();
    String::from_utf8(bytes).expect("the tests say nothing but ASCII")
}

/// Comes in and hears so itself; the number that it was given.
fn enter(server: &Server) -> (Client, u32) {
    let mut client = server.connect();
    let greeting = line(&mut client);
    let number = greeting.strip_prefix("welcome, you are guest ").and_then(|number| number.parse().ok());
    let number = number.unwrap_or_else(|| panic!("no greeting: '{greeting}'"));
    assert_eq!(line(&mut client), format!("guest {number} came"));
    (client, number)
}

/// Guests 1 to `count`, of whom each knows of all that came after it.
fn guests(server: &Server, count: u32) -> Vec<Client> {
    let mut guests: Vec<Client> = Vec::new();
    for expected in 1..=count {
        let (client, number) = enter(server);
        assert_eq!(number, expected);
        guests.iter_mut().for_each(|guest| assert_eq!(line(guest), format!("guest {number} came")));
        guests.push(client);
    }
    guests
}

fn chat_tells_all_what_each_says_in_the_order_it_is_said(mode: Mode) {
    const GUESTS: u32 = 6;
    const LINES: u32 = 200;
    let server = Server::example_in(mode, "chat", &[]);
    let mut guests = guests(&server, GUESTS);
    std::thread::scope(|scope| {
        for guest in &guests {
            let mut guest = guest.another_hand();
            scope.spawn(move || (0..LINES).for_each(|index| guest.send(format!("line {index}\n").as_bytes())));
        }
        for guest in &mut guests {
            scope.spawn(move || {
                let mut heard: HashMap<String, u32> = HashMap::new();
                for _ in 0..GUESTS * LINES {
                    let line = line(guest);
                    let (name, said) = line.split_once(": ").unwrap_or_else(|| panic!("'{line}'"));
                    let count = heard.entry(name.to_owned()).or_default();
                    assert_eq!(said, format!("line {count}"), "{name}");
                    *count += 1;
                }
                assert_eq!(heard.len(), GUESTS as usize, "{heard:?}");
            });
        }
    });
    guests.iter().for_each(Client::expect_nothing_yet);
    server.stop_with(guests).report.assert_nothing_lost();
}

fn chat_greets_and_tells_who_comes_and_goes(mode: Mode) {
    let server = Server::example_in(mode, "chat", &[]);
    let mut guests = guests(&server, 4);
    // One says goodbye and hears itself out, one is cut off.
    let mut polite = guests.remove(3);
    polite.send(b"bye\n");
    polite.finish();
    assert_eq!(line(&mut polite), "guest 4: bye");
    polite.expect_end();
    for guest in &mut guests {
        assert_eq!(line(guest), "guest 4: bye");
        assert_eq!(line(guest), "guest 4 left");
    }
    guests.remove(1).reset();
    for guest in &mut guests {
        assert_eq!(line(guest), "guest 2 left");
    }
    // Lines may be empty, and come in pieces.
    guests[0].send(b"\nin ");
    guests.iter_mut().for_each(|guest| assert_eq!(line(guest), "guest 1: "));
    guests[0].send(b"pieces\n");
    guests.iter_mut().for_each(|guest| assert_eq!(line(guest), "guest 1: in pieces"));
    let (newcomer, number) = enter(&server);
    assert_eq!(number, 5);
    guests.iter_mut().for_each(|guest| assert_eq!(line(guest), "guest 5 came"));
    guests.push(newcomer);
    server.stop_with(guests).report.assert_nothing_lost();
}

fn chat_greets_first_whatever_is_being_said(mode: Mode) {
    let server = Server::example_in(mode, "chat", &[]);
    let mut talker = guests(&server, 1).remove(0);
    let mut listener = talker.another_hand();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            (0..5_000).for_each(|_| talker.send(b"and another thing\n"));
            talker.finish();
        });
        scope.spawn(move || listener.receive_to_end());
        for number in 2..52 {
            let mut newcomer = server.connect();
            newcomer.send(b"hello\n");
            assert_eq!(line(&mut newcomer), format!("welcome, you are guest {number}"));
            newcomer.reset();
        }
    });
    server.stop().report.assert_nothing_lost();
}

fn chat_shows_out_a_guest_whose_line_is_too_long(mode: Mode) {
    let server = Server::example_in(mode, "chat", &[]);
    let mut guests = guests(&server, 2);
    let longest = "x".repeat(1023);
    guests[1].send(format!("{longest}\n").as_bytes());
    guests.iter_mut().for_each(|guest| assert_eq!(line(guest), format!("guest 2: {longest}")));
    guests[1].send(format!("x{longest}\n").as_bytes());
    let mut talker = guests.remove(1);
    talker.expect_end();
    drop(talker);
    assert_eq!(line(&mut guests[0]), "guest 2 left");
    server.stop_with(guests).report.assert_nothing_lost();
}

// ---- deferred ----------------------------------------------------------------------------------

fn deferred(mode: Mode) -> Server {
    Server::example_in(mode, "deferred", &["--compute-ms", "20"])
}

fn requests(count: usize) -> Vec<u8> {
    (0..count).flat_map(|index| format!("request {index}\n").into_bytes()).collect()
}

/// Asserts that these are the first replies, in order and whole: `request N (M ms)`. Returns how many.
fn assert_in_order(replies: &[u8]) -> usize {
    let text = std::str::from_utf8(replies).expect("the replies are ASCII");
    assert!(text.is_empty() || text.ends_with('\n'), "cut: '{text}'");
    for (index, reply) in text.lines().enumerate() {
        let took = reply.strip_prefix(&format!("request {index} (")).and_then(|rest| rest.strip_suffix(" ms)"));
        assert!(took.is_some_and(|ms| ms.parse::<u32>().is_ok()), "'{reply}' where {index} was due");
    }
    text.lines().count()
}

fn deferred_answers_a_hundred_pipelined_requests_in_their_order(mode: Mode) {
    let server = deferred(mode);
    let bytes = requests(100);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut client = server.connect();
            let bytes = &bytes;
            scope.spawn(move || assert_eq!(assert_in_order(&client.exchange(bytes)), 100));
        }
    });
    server.stop().report.assert_nothing_lost();
}

fn deferred_forgets_a_client_that_does_not_wait(mode: Mode) {
    let server = deferred(mode);
    for _ in 0..10 {
        let mut client = server.connect();
        client.send(&requests(64));
        client.wait_until_delivered();
        client.reset();
    }
    assert_eq!(assert_in_order(&server.connect().exchange(&requests(10))), 10);
    server.stop().report.assert_nothing_lost();
}

fn deferred_keeps_its_promises_before_it_stops(mode: Mode) {
    let mut server = deferred(mode);
    let mut client = server.connect();
    client.send(&requests(40));
    let mut replies = client.receive_until(b"\n");
    server.ask_to_stop();
    // How many were admitted is the server's business; those are answered.
    replies.extend(client.receive_to_end());
    let count = assert_in_order(&replies);
    drop(client);
    let report = server.wait().report;
    report.assert_nothing_lost();
    assert_eq!(report.drained, 1);
    assert!(report.completed < count as u64, "{report:?}, and {count} replies, the first before the stop");
}

// ---- length prefix -----------------------------------------------------------------------------

const OK: u8 = 0;
const ERROR: u8 = 1;
const LONGEST_BYTES: usize = 64 * 1024;

fn message(parts: &[&[u8]]) -> Vec<u8> {
    let payload = parts.concat();
    let len = u32::try_from(payload.len()).expect("the tests' messages are small");
    [&len.to_be_bytes(), payload.as_slice()].concat()
}

/// Sends a request whose first byte is `operation`; asserts that the reply is good, and brings back `result`.
fn assert_does(client: &mut Client, operation: u8, bytes: &[u8], result: &[u8]) {
    client.ask(&message(&[&[operation], bytes]), &message(&[&[OK], result]));
}

/// A reply that says what is wrong, in words.
fn assert_error(client: &mut Client) {
    let prefix = client.receive(4).try_into().expect("these are four bytes");
    let reply = client.receive(u32::from_be_bytes(prefix) as usize);
    assert_eq!(reply[0], ERROR, "'{}'", reply.escape_ascii());
    assert!(reply.len() > 10 && reply[1..].is_ascii(), "'{}'", reply.escape_ascii());
}

fn length_prefix_does_each_operation(mode: Mode) {
    let server = Server::example_in(mode, "length_prefix", &[]);
    let mut client = server.connect();
    assert_does(&mut client, b'r', b"hello\0", b"\0olleh");
    assert_does(&mut client, b'r', b"", b"");
    assert_does(&mut client, b'u', b"Stra\xdfe {az}\0\n", b"STRA\xdfE {AZ}\0\n");
    assert_does(&mut client, b'u', b"", b"");
    assert_does(&mut client, b's', &[1, 2, 255], &258_u64.to_be_bytes());
    assert_does(&mut client, b's', b"", &0_u64.to_be_bytes());
    // Bytes that look like a prefix are bytes.
    assert_does(&mut client, b'r', &[0, 0, 0, 1, b'r'], &[b'r', 1, 0, 0, 0]);
    server.stop_with(vec![client]).report.assert_nothing_lost();
}

fn length_prefix_answers_an_error_to_what_it_does_not_know(mode: Mode) {
    let server = Server::example_in(mode, "length_prefix", &[]);
    let mut client = server.connect();
    client.send(&[message(&[b"R"]), message(&[]), message(&[b"\0 and more"])].concat());
    (0..3).for_each(|_| assert_error(&mut client));
    // And goes on.
    assert_does(&mut client, b'u', b"still here", b"STILL HERE");
    // A message that is not whole at the end of input is no request.
    let last = [message(&[b"ulast"]), vec![0, 0, 0, 9, b'u', b'c']].concat();
    assert_same_bytes(&client.exchange(&last), &message(&[&[OK], b"LAST"]));
}

fn length_prefix_finds_its_messages_however_they_are_cut(mode: Mode) {
    let server = Server::example_in(mode, "length_prefix", &[]);
    let mut client = server.connect();
    let request = message(&[b"uabc"]);
    let reply = message(&[&[OK], b"ABC"]);
    for place in 1..request.len() {
        let (before, after) = request.split_at(place);
        client.send(before);
        client.wait_until_delivered();
        client.ask(after, &reply);
    }
    // One byte a write, two messages and a half at a time.
    let several = [request.repeat(2).as_slice(), &request[..6]].concat();
    several.iter().for_each(|byte| client.send(&[*byte]));
    assert_same_bytes(&client.receive(2 * reply.len()), &reply.repeat(2));
    client.ask(&request[6..], &reply);
    // A thousand in one, beside each other's replies.
    assert_same_bytes(&client.exchange(&request.repeat(1_000)), &reply.repeat(1_000));
    server.stop().report.assert_nothing_lost();
}

fn length_prefix_takes_the_longest_message_and_none_that_is_longer(mode: Mode) {
    let _alone = alone();
    let server = Server::example_in(mode, "length_prefix", &[]);
    let mut client = server.connect();
    let bytes = pseudo_random_bytes(LONGEST_BYTES - 1, 7);
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    assert_does(&mut client, b'r', &bytes, &reversed);
    assert_does(&mut client, b's', &[255; LONGEST_BYTES - 1], &(255 * (LONGEST_BYTES as u64 - 1)).to_be_bytes());
    // Refused as soon as the length is known, with the replies before it; nothing more need come.
    for too_long in [LONGEST_BYTES + 1, u32::MAX as usize] {
        let mut client = server.connect();
        let prefix = u32::try_from(too_long).expect("it fits a prefix").to_be_bytes();
        client.send(&[message(&[b"uabc"]).as_slice(), &prefix].concat());
        assert_same_bytes(&client.receive_to_end(), &message(&[&[OK], b"ABC"]));
    }
    assert_does(&mut client, b'u', b"still here", b"STILL HERE");
    server.stop_with(vec![client]).report.assert_nothing_lost();
}
