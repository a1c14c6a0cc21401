//! The load generator against servers that are right, and against servers that are wrong in the ways servers are.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread;

/// A server of `serve` for each connection, for as long as the test lasts.
fn server(serve: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Calls `each` with the bytes of each read and their place in the stream, until the client closes.
fn reads(mut stream: TcpStream, mut each: impl FnMut(&mut TcpStream, &[u8], usize)) {
    let mut buffer = [0; 64 * 1024];
    let mut place = 0;
    while let Ok(len @ 1..) = stream.read(&mut buffer) {
        each(&mut stream, &buffer[..len], place);
        place += len;
    }
}

fn send(stream: &mut TcpStream, bytes: &[u8]) {
    // A client that found a fault has closed.
    let _ = stream.write_all(bytes);
}

fn echo(stream: TcpStream) {
    reads(stream, |stream, bytes, _| send(stream, bytes));
}

fn load(arguments: &[&str], server: SocketAddr) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reactor-load"));
    command.args(arguments).arg(server.to_string());
    command.output().expect("cargo has built it")
}

fn complaint(serve: fn(TcpStream), arguments: &[&str]) -> String {
    let output = load(&[&["run", "--requests", "2000", "--connections", "3"], arguments].concat(), server(serve));
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// All kinds of load against a right server: the count is right, and nothing is complained of.
#[test]
fn a_right_server_passes_and_every_request_is_counted() {
    let address = server(echo);
    let counted: [&[&str]; 7] = [
        &["--requests", "3000"],
        &["--requests", "3000", "--in-flight", "16", "--size", "100"],
        &["--requests", "3000", "--mode", "delimiter", "--delimiter", r"\n", "--connections", "2"],
        &["--requests", "3000", "--size", "70000", "--connections", "2", "--write-bytes", "5000"],
        // Of replies that come over several reads, and with more batches than one in flight.
        &["--requests", "3000", "--size", "262144", "--connections", "4", "--in-flight", "3"],
        &["--requests", "3000", "--connections", "64", "--in-flight", "64", "--rest-us", "1000"],
        &["--requests", "3000", "--connections", "64", "--rest-us", "0"],
    ];
    for arguments in counted {
        let output = load(&[&["run", "--json"], arguments].concat(), address);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("\"requests\":3000,"), "{arguments:?}: {text}");
    }
    let timed = ["run", "--duration-ms", "200", "--warmup-ms", "50", "--rate", "2000", "--connections", "5"];
    assert!(load(&timed, address).status.success());
    assert!(load(&["connect", "--connections", "50"], address).status.success());
}

/// One bit, late in the stream.
#[test]
fn a_changed_byte_is_seen() {
    let found = complaint(
        |stream| {
            reads(stream, |stream, bytes, place| {
                let mut bytes = bytes.to_vec();
                if let Some(byte) = 5_000_usize.checked_sub(place).and_then(|at| bytes.get_mut(at)) {
                    *byte ^= 0x20;
                }
                send(stream, &bytes);
            });
        },
        &[],
    );
    assert!(found.contains("wrong byte") && found.contains("of reply 79"), "{found}");
}

/// A read that is answered twice.
#[test]
fn a_doubled_reply_is_seen() {
    let found = complaint(
        |stream| {
            reads(stream, |stream, bytes, place| {
                send(stream, bytes);
                if place > 3_000 {
                    send(stream, bytes);
                }
            });
        },
        &["--in-flight", "4"],
    );
    assert!(found.contains("wrong byte") || found.contains("more came back"), "{found}");
}

/// The replies of two messages that change places.
#[test]
fn exchanged_replies_are_seen() {
    let found = complaint(
        |mut stream| {
            let mut two = [0; 128];
            while stream.read_exact(&mut two).is_ok() {
                two.rotate_left(64);
                send(&mut stream, &two);
            }
        },
        &["--in-flight", "2"],
    );
    assert!(found.contains("wrong byte"), "{found}");
}

#[test]
fn a_server_that_closes_is_told_of() {
    let found = complaint(drop, &[]);
    assert!(found.contains("closed the connection") || found.contains("reset"), "{found}");
}

/// At a fixed rate a request counts from when it was due: a server that stalls once is charged for all that should have
/// been sent meanwhile, and not only for the one that it kept waiting.
#[test]
fn a_stall_counts_for_every_request_that_was_due_meanwhile() {
    let address = server(|stream| {
        reads(stream, |stream, bytes, place| {
            if place == 64 * 100 {
                thread::sleep(std::time::Duration::from_millis(300));
            }
            send(stream, bytes);
        });
    });
    let arguments =
        ["run", "--connections", "1", "--rate", "1000", "--duration-ms", "1000", "--warmup-ms", "0", "--json"];
    let output = load(&arguments, address);
    let text = String::from_utf8_lossy(&output.stdout);
    let p90 = text.split("\"p90_us\":").nth(1).and_then(|rest| rest.split(',').next()?.parse::<f64>().ok());
    // 300 of 1 000 requests were due during the stall, so a tenth of all waited for most of it.
    assert!(p90.is_some_and(|p90| p90 > 150_000.0), "{text}");
}
