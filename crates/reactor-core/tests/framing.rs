//! Owns the promises about framing, from the bytes on the wire to the requests that the handler sees, and back.

#[expect(dead_code, unused_imports, reason = "each suite uses its part")]
mod harness;

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use harness::{Client, Random, Running, Service, Wiring, answer, in_each_mode, lines, next, prefix, until};
use reactor_core::{CloseReason, ErrorKind, FrameEnd, Framing, Options};

in_each_mode!(
    every_framing_cuts_the_same_frames_however_the_stream_is_split,
    every_framing_cuts_the_same_frames_where_each_byte_comes_alone,
    the_largest_frame_is_taken,
    a_frame_too_large_ends_the_connection_before_its_bytes_have_come,
    a_frame_too_large_leaves_the_requests_before_it_answered,
    a_prefix_of_the_largest_number_is_a_frame_too_large,
    raw_input_is_cut_at_max_frame_bytes,
    a_refused_stream_ends_the_connection_once_its_requests_are_answered,
    a_custom_framing_is_asked_again_only_when_what_it_wants_is_there,
    a_custom_framing_hears_how_much_it_has_seen,
    a_panic_in_frame_costs_its_connection_alone,
    a_partial_frame_at_the_end_of_input_is_a_protocol_error,
    an_empty_payload_is_a_request_and_may_be_a_reply_where_the_framing_strips,
    a_request_that_is_never_written_to_sends_no_frame,
    eight_mib_of_prefixed_frames_are_echoed_at_the_default_limits,
    one_frame_of_eight_mib_is_echoed_with_limits_raised,
);

const MAX_FRAME_BYTES: usize = 100;

/// A digit that says how many bytes follow it.
fn digit(bytes: &[u8], _seen: usize) -> FrameEnd {
    match bytes[0] {
        digit @ b'0'..=b'9' => FrameEnd::At(1 + usize::from(digit - b'0')),
        _ => FrameEnd::Refused,
    }
}

fn all_framings() -> Vec<Framing> {
    let mut all = vec![Framing::Fixed(1), Framing::Fixed(7), Framing::Fixed(4_000), Framing::Custom];
    for strip in [false, true] {
        for delimiter in [&b"\n"[..], b"\r\n", b"aab", b"0123456789abcdef"] {
            all.push(Framing::Delimiter { delimiter: delimiter.to_vec(), strip });
        }
        for width in [1, 2, 4, 8] {
            all.extend([true, false].map(|big_endian| Framing::LengthPrefix { width, big_endian, strip }));
        }
    }
    all
}

/// A random frame, and what the handler sees of it.
fn frame(framing: &Framing, random: &mut Random) -> (Vec<u8>, Vec<u8>) {
    match framing {
        Framing::Raw => unreachable!("it has no frames"),
        Framing::Fixed(len) => {
            let frame = random.bytes(*len);
            (frame.clone(), frame)
        }
        Framing::Custom => {
            let len = random.below(10);
            let frame = [&[b'0' + len as u8], &random.bytes(len)[..]].concat();
            (frame.clone(), frame)
        }
        Framing::Delimiter { delimiter, strip } => {
            let len = random.below(60);
            // Much that looks like the beginning of a delimiter.
            let mut payload: Vec<u8> = (0..len).map(|_| delimiter[random.below(delimiter.len())]).collect();
            if payload.windows(delimiter.len()).any(|window| window == delimiter) {
                payload.fill(b'-');
            }
            let mut frame = [&payload[..], delimiter].concat();
            // The delimiter may stand earlier across the seam.
            let first = frame.windows(delimiter.len()).position(|window| window == delimiter);
            let end = first.expect("it ends with one") + delimiter.len();
            frame.truncate(end);
            payload.truncate(end - delimiter.len());
            if *strip { (frame, payload) } else { (frame.clone(), frame) }
        }
        Framing::LengthPrefix { width, big_endian, strip } => {
            let len = if *width == 1 { random.below(256) } else { random.below(600) };
            let payload = random.bytes(len);
            let frame = [&header(*width, *big_endian, len as u64)[..], &payload].concat();
            if *strip { (frame, payload) } else { (frame.clone(), frame) }
        }
    }
}

fn header(width: u32, big_endian: bool, payload: u64) -> Vec<u8> {
    let width = width as usize;
    if big_endian { payload.to_be_bytes()[8 - width..].to_vec() } else { payload.to_le_bytes()[..width].to_vec() }
}

/// An echo that tells of each request.
fn telling_echo() -> (Service, Receiver<Vec<u8>>) {
    let (tell, requests) = channel();
    let service = Service::new(move |_, request, reply| {
        let _ = tell.send(request.to_vec());
        // An empty request is answered by an empty reply, not by none.
        answer(reply, request)
    });
    (service.on_frame(digit), requests)
}

fn every_framing_cuts_the_same_frames_however_the_stream_is_split(wiring: Wiring) {
    for (seed, framing) in (1..).zip(all_framings()) {
        let mut random = Random::new(seed);
        let (service, requests) = telling_echo();
        let running = service.start(wiring, &wiring.framed(framing.clone()));
        let (client, _) = running.connect();
        let (frames, seen): (Vec<_>, Vec<_>) = (0..200).map(|_| frame(&framing, &mut random)).unzip();
        let stream = frames.concat();
        thread::scope(|scope| {
            let writer = client.twin();
            let sent = &stream;
            scope.spawn(move || {
                let mut rest = &sent[..];
                while !rest.is_empty() {
                    let longest = if random.below(4) == 0 { 2_000 } else { 12 };
                    let (part, after) = rest.split_at(rest.len().min(1 + random.below(longest)));
                    writer.send(part);
                    rest = after;
                }
                writer.finish();
            });
            // With and without strip, what goes out is framed as what came in.
            assert!(client.receive_to_end().expect("a FIN") == stream, "another stream came back, {framing:?}");
        });
        running.closed_with(CloseReason::Peer);
        assert_eq!(requests.try_iter().collect::<Vec<_>>(), seen, "{framing:?}");
    }
}

fn every_framing_cuts_the_same_frames_where_each_byte_comes_alone(wiring: Wiring) {
    for (seed, framing) in (1..).zip(all_framings()) {
        if framing == Framing::Fixed(4_000) {
            continue;
        }
        let mut random = Random::new(seed);
        let (service, requests) = telling_echo();
        let running = service.start(wiring, &wiring.framed(framing.clone()));
        let (client, _) = running.connect();
        let mut sent = 0;
        for _ in 0..3 {
            let (frame, seen) = frame(&framing, &mut random);
            for byte in &frame {
                assert!(requests.try_recv().is_err(), "a request before its frame was whole, {framing:?}");
                client.send(&[*byte]);
                sent += 1;
                running.has_read(sent);
            }
            assert_eq!(next(&requests), seen, "{framing:?}");
            client.expect(&frame);
        }
    }
}

/// Framings, the largest frame of each, and the beginning of one that would be larger by one byte.
fn largest() -> Vec<(Framing, Vec<u8>, Vec<u8>)> {
    let max = MAX_FRAME_BYTES;
    let mut all = vec![(
        Framing::Custom,
        [&[b'L'][..], &[b'x'; MAX_FRAME_BYTES - 1]].concat(),
        // This one says at its first byte that it is 101 bytes long.
        b"M".to_vec(),
    )];
    for strip in [false, true] {
        for delimiter in [&b"\n"[..], b"\r\n\r\n"] {
            let payload = max - delimiter.len();
            all.push((
                Framing::Delimiter { delimiter: delimiter.to_vec(), strip },
                [&vec![b'x'; payload][..], delimiter].concat(),
                vec![b'x'; max],
            ));
        }
        for width in [1, 2, 4, 8] {
            let payload = max as u64 - u64::from(width);
            for big_endian in [true, false] {
                all.push((
                    Framing::LengthPrefix { width, big_endian, strip },
                    [header(width, big_endian, payload), vec![b'x'; payload as usize]].concat(),
                    header(width, big_endian, payload + 1),
                ));
            }
        }
    }
    all
}

fn letter(bytes: &[u8], _seen: usize) -> FrameEnd {
    match bytes[0] {
        b'L' => FrameEnd::At(MAX_FRAME_BYTES),
        b'M' => FrameEnd::At(MAX_FRAME_BYTES + 1),
        _ => FrameEnd::Refused,
    }
}

fn small_frames(wiring: Wiring, framing: Framing) -> Options {
    let mut options = wiring.framed(framing);
    options.set_max_frame_bytes(MAX_FRAME_BYTES).expect("in range");
    options
}

fn the_largest_frame_is_taken(wiring: Wiring) {
    for (framing, frame, _) in largest() {
        let running = Service::echo().on_frame(letter).start(wiring, &small_frames(wiring, framing));
        let (client, _) = running.connect();
        client.send(&frame);
        client.expect(&frame);
        client.finish();
        client.expect_last(b"");
        running.closed_with(CloseReason::Peer);
    }
}

fn a_frame_too_large_ends_the_connection_before_its_bytes_have_come(wiring: Wiring) {
    for (framing, _, beginning) in largest() {
        let (service, requests) = telling_echo();
        let running = service.on_frame(letter).start(wiring, &small_frames(wiring, framing.clone()));
        let (client, _) = running.connect();
        // No byte follows, and the end comes all the same.
        client.send(&beginning);
        client.expect_last(b"");
        client.finish();
        running.closed_with(CloseReason::FrameTooLarge);
        assert!(requests.try_recv().is_err(), "{framing:?}");
    }
}

fn a_frame_too_large_leaves_the_requests_before_it_answered(wiring: Wiring) {
    for (framing, frame, beginning) in largest() {
        let running = Service::echo().on_frame(letter).start(wiring, &small_frames(wiring, framing));
        let (client, _) = running.connect();
        client.send(&[&frame[..], &frame, &beginning, b"and some more"].concat());
        client.expect_last(&[&frame[..], &frame].concat());
        client.finish();
        running.closed_with(CloseReason::FrameTooLarge);
    }
}

fn a_prefix_of_the_largest_number_is_a_frame_too_large(wiring: Wiring) {
    for (width, strip) in [(4, false), (4, true), (8, false), (8, true)] {
        for big_endian in [false, true] {
            let framing = Framing::LengthPrefix { width, big_endian, strip };
            let running = Service::echo().start(wiring, &wiring.framed(framing));
            let (client, _) = running.connect();
            client.send(&vec![0xff; width as usize]);
            client.expect_last(b"");
            client.finish();
            running.closed_with(CloseReason::FrameTooLarge);
        }
    }
}

fn raw_input_is_cut_at_max_frame_bytes(wiring: Wiring) {
    let (service, requests) = telling_echo();
    let mut options = wiring.options();
    options.set_max_frame_bytes(10).expect("in range");
    let running = service.start(wiring, &options);
    let (client, _) = running.connect();
    let stream = Random::new(1).bytes(1_005);
    client.send(&stream);
    client.finish();
    client.expect_last(&stream);
    let requests: Vec<_> = requests.try_iter().collect();
    assert!(requests.iter().all(|request| (1..=10).contains(&request.len())), "a request of another length");
    assert!(requests.concat() == stream, "the requests are not the stream");
}

fn a_refused_stream_ends_the_connection_once_its_requests_are_answered(wiring: Wiring) {
    // At(0) would be a frame without end.
    for refusal in [FrameEnd::Refused, FrameEnd::At(0)] {
        let service = Service::echo().on_frame(move |bytes, seen| match digit(bytes, seen) {
            FrameEnd::Refused => refusal,
            end => end,
        });
        let running = service.start(wiring, &wiring.framed(Framing::Custom));
        let (client, _) = running.connect();
        client.send(b"1a2bb3cccx1a");
        client.expect_last(b"1a2bb3ccc");
        client.finish();
        running.closed_with(CloseReason::ProtocolError);
    }
}

/// A server that tells of each call of its framing: `(len, seen)`.
fn watched(wiring: Wiring, frame: fn(&[u8], usize) -> FrameEnd) -> (Running, Receiver<(usize, usize)>) {
    let (tell, calls) = channel();
    let service = Service::echo().on_frame(move |bytes, seen| {
        let _ = tell.send((bytes.len(), seen));
        frame(bytes, seen)
    });
    (service.start(wiring, &wiring.framed(Framing::Custom)), calls)
}

/// Sends byte by byte, each once the one before it has been read.
fn drip(running: &Running, client: &Client, bytes: &[u8]) {
    let before = running.bytes_in();
    for (count, byte) in (before + 1..).zip(bytes) {
        client.send(&[*byte]);
        running.has_read(count);
    }
}

fn a_custom_framing_is_asked_again_only_when_what_it_wants_is_there(wiring: Wiring) {
    // Ten bytes a frame, of which it learns at the third.
    let (running, calls) = watched(wiring, |bytes, _| match bytes.len() {
        1 | 2 => FrameEnd::At(3),
        3..=9 => FrameEnd::At(10),
        _ => FrameEnd::At(bytes.len().min(10)),
    });
    let (client, _) = running.connect();
    for _ in 0..3 {
        drip(&running, &client, b"0123456789");
        client.expect(b"0123456789");
        assert_eq!(calls.try_iter().collect::<Vec<_>>(), [(1, 0), (3, 1), (10, 3)]);
    }
}

fn a_custom_framing_hears_how_much_it_has_seen(wiring: Wiring) {
    let (running, calls) = watched(wiring, |bytes, seen| {
        let end = bytes[seen..].iter().position(|byte| *byte == b'.');
        end.map_or(FrameEnd::Unknown, |at| FrameEnd::At(seen + at + 1))
    });
    let (client, _) = running.connect();
    drip(&running, &client, b"abc.");
    client.expect(b"abc.");
    assert_eq!(calls.try_iter().collect::<Vec<_>>(), [(1, 0), (2, 1), (3, 2), (4, 3)]);
    client.send(b"d.ef");
    client.expect(b"d.");
    client.send(b"g.");
    client.expect(b"efg.");
    assert_eq!(calls.try_iter().collect::<Vec<_>>(), [(4, 0), (2, 0), (4, 2)]);
}

fn a_panic_in_frame_costs_its_connection_alone(wiring: Wiring) {
    let service = Service::echo().on_frame(|bytes, seen| {
        assert!(bytes[0] != b'!', "this panic is part of the test");
        digit(bytes, seen)
    });
    let running = service.start(wiring, &wiring.framed(Framing::Custom));
    let (other, _) = running.connect();
    let (client, conn) = running.connect();
    client.send(b"1a!1a");
    client.expect_last(b"1a");
    client.finish();
    assert_eq!(running.closed().conn, conn);
    other.send(b"1b");
    other.expect(b"1b");
}

fn a_partial_frame_at_the_end_of_input_is_a_protocol_error(wiring: Wiring) {
    for (framing, whole, part) in [
        (lines(false), &b"a\n"[..], &b"b"[..]),
        (Framing::Delimiter { delimiter: b"\r\n".to_vec(), strip: true }, b"a\r\n", b"b\r"),
        (prefix(2, true), b"\0\x01a", b"\0"),
        (prefix(2, false), b"\0\x01a", b"\0\x02b"),
        (Framing::Fixed(3), b"abc", b"ab"),
        (Framing::Custom, b"1a", b"2b"),
    ] {
        let running = Service::echo().on_frame(digit).start(wiring, &wiring.framed(framing));
        let (client, _) = running.connect();
        client.send(&[whole, part].concat());
        client.finish();
        client.expect_last(whole);
        running.closed_with(CloseReason::ProtocolError);
    }
}

fn an_empty_payload_is_a_request_and_may_be_a_reply_where_the_framing_strips(wiring: Wiring) {
    for (framing, empty) in [
        (lines(true), &b"\n"[..]),
        (Framing::Delimiter { delimiter: b"\r\n".to_vec(), strip: true }, b"\r\n"),
        (prefix(1, true), b"\0"),
        (prefix(4, true), b"\0\0\0\0"),
        (prefix(8, true), b"\0\0\0\0\0\0\0\0"),
    ] {
        let (service, requests) = telling_echo();
        let running = service.start(wiring, &wiring.framed(framing));
        let (client, _) = running.connect();
        client.send(&empty.repeat(3));
        client.finish();
        client.expect_last(&empty.repeat(3));
        assert_eq!(requests.try_iter().collect::<Vec<_>>(), [b""; 3]);
    }
}

fn a_request_that_is_never_written_to_sends_no_frame(wiring: Wiring) {
    for (framing, silent, spoken) in
        [(lines(true), &b"quiet\n"[..], &b"loud\n"[..]), (prefix(1, true), b"\x05quiet", b"\x04loud")]
    {
        let service =
            Service::new(|_, request, reply| if request == b"quiet" { Ok(()) } else { answer(reply, request) });
        let running = service.start(wiring, &wiring.framed(framing));
        let (client, _) = running.connect();
        client.send(&[silent, silent, spoken, silent, spoken].concat());
        client.finish();
        client.expect_last(&spoken.repeat(2));
    }
}

/// Sends on another thread and reads the same back.
fn echoes(client: Client, stream: &[u8]) {
    thread::scope(|scope| {
        let writer = client.twin();
        scope.spawn(move || {
            writer.send(stream);
            writer.finish();
        });
        assert!(client.receive_to_end().expect("a FIN") == stream, "another stream came back");
    });
}

fn eight_mib_of_prefixed_frames_are_echoed_at_the_default_limits(wiring: Wiring) {
    for strip in [false, true] {
        // The last size is the largest that max_frame_bytes allows.
        for payload in [64 << 10, 1_000, (1 << 20) - 4] {
            let frame = [header(4, true, payload as u64), Random::new(7).bytes(payload)].concat();
            let stream = frame.repeat((8 << 20) / frame.len() + 1);
            let running = Service::echo().start(wiring, &wiring.framed(prefix(4, strip)));
            echoes(running.dial(), &stream);
            running.closed_with(CloseReason::Peer);
        }
    }
}

fn one_frame_of_eight_mib_is_echoed_with_limits_raised(wiring: Wiring) {
    const LEN: usize = 8 << 20;
    for strip in [false, true] {
        let mut options = wiring.framed(prefix(4, strip));
        options.set_max_frame_bytes(LEN + 4).expect("in range").set_output_limit_bytes(LEN + 4).expect("in range");
        let (service, requests) = telling_echo();
        let running = service.start(wiring, &options);
        let frame = [header(4, true, LEN as u64), Random::new(9).bytes(LEN)].concat();
        echoes(running.dial(), &frame);
        running.closed_with(CloseReason::Peer);
        let seen = if strip { LEN } else { LEN + 4 };
        assert_eq!(next(&requests).len(), seen);
        until("nothing counts any more", || running.stats().memory_bytes == 0);
    }
}

#[test]
fn a_framing_whose_smallest_frame_passes_max_frame_bytes_is_refused() {
    for framing in [Framing::Fixed(101), Framing::Fixed(usize::MAX)] {
        let options = small_frames(Wiring::Single, framing);
        let error = Service::echo().start_at("127.0.0.1:0", Wiring::Single.mode(), &options).err();
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::InvalidArgument));
    }
}

#[test]
fn the_frames_of_one_connection_are_cut_by_its_own_stream_alone() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&order);
    let service = Service::new(move |_, request, reply| {
        told.lock().expect("nobody panics with it").push(request.to_vec());
        answer(reply, request)
    });
    let running = service.start(Wiring::Single, &Wiring::Single.framed(lines(true)));
    let ((one, _), (other, _)) = (running.connect(), running.connect());
    one.send(b"begun here");
    running.has_read(10);
    other.send(b"begun there");
    running.has_read(21);
    one.send(b", ended here\n");
    one.expect(b"begun here, ended here\n");
    other.send(b", ended there\n");
    other.expect(b"begun there, ended there\n");
    assert_eq!(
        *order.lock().expect("nobody panics with it"),
        [&b"begun here, ended here"[..], b"begun there, ended there"]
    );
}
