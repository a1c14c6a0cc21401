//! Owns the promises about addresses: what can be listened at, what happens to socket files, how a refusal reads.

#[expect(dead_code, unused_imports, reason = "each suite uses its part")]
mod harness;

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::mpsc::channel;
use std::thread;

use harness::{Client, Running, Service, WAIT, Wiring, in_each_mode};
use reactor_core::{CloseReason, Error, ErrorKind, Mode, Options};
use socket2::{Domain, SockAddr, Socket, Type};

in_each_mode!(
    an_ipv4_address_is_served,
    an_ipv6_address_is_served,
    a_name_is_served,
    a_unix_socket_is_served,
    a_socket_file_is_removed_at_the_stop,
    two_servers_that_both_reuse_the_port_share_it,
);

fn start(address: &str) -> Result<Running, Error> {
    Service::echo().start_at(address, Mode::Single, &Options::new())
}

#[track_caller]
fn refused(address: &str, kind: ErrorKind) -> Error {
    let error = start(address).err().expect("it is refused");
    assert_eq!(error.kind(), kind, "{error}");
    error
}

/// A folder of the test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = env::temp_dir().join(format!("reactor-{}-{test}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("the folder is new");
        Folder(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("x.sock")
    }

    fn address(&self) -> String {
        unix(&self.file())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// A socket file that nobody listens at any more.
fn leave_stale(path: &Path) {
    drop(UnixListener::bind(path).expect("nothing is there"));
    assert!(is_socket(path));
}

#[track_caller]
fn echoes_at(path: &Path) {
    let mut client = UnixStream::connect(path).expect("a server listens");
    client.set_read_timeout(Some(WAIT)).expect("it is not zero");
    client.write_all(b"hello").expect("the server reads");
    let mut echo = [0; 5];
    client.read_exact(&mut echo).expect("the server answers");
    assert_eq!(&echo, b"hello");
}

#[track_caller]
fn echoes(address: &str) {
    let client = Client::to(address);
    client.send(b"hello");
    client.expect(b"hello");
}

fn an_ipv4_address_is_served(wiring: Wiring) {
    let running = Service::echo().start_at("127.0.0.1:0", wiring.mode(), &wiring.options()).expect("it starts");
    let local: SocketAddr = running.server.local_address().parse().expect("an address and a port");
    assert!(local.is_ipv4() && local.ip().is_loopback());
    assert_ne!(local.port(), 0, "the port that was picked");
    echoes(running.server.local_address());
}

fn an_ipv6_address_is_served(wiring: Wiring) {
    if let Err(error) = TcpListener::bind("[::1]:0") {
        println!("skipped: this machine has no IPv6 loopback: {error}");
        return;
    }
    let running = Service::echo().start_at("[::1]:0", wiring.mode(), &wiring.options()).expect("it starts");
    let local: SocketAddr = running.server.local_address().parse().expect("an address and a port");
    assert!(local.is_ipv6() && local.ip().is_loopback());
    assert_ne!(local.port(), 0, "the port that was picked");
    let client = running.dial();
    let conn = running.opened();
    let peer = running.server.peer(conn).expect("it is open").address().expect("it has an address");
    assert_eq!(peer, client.address());
    client.send(b"hello");
    client.expect(b"hello");
}

fn a_name_is_served(wiring: Wiring) {
    let running = Service::echo().start_at("localhost:0", wiring.mode(), &wiring.options()).expect("it starts");
    let local: SocketAddr = running.server.local_address().parse().expect("an address and a port");
    assert!(local.is_ipv4(), "IPv4 goes first: {local}");
    echoes(running.server.local_address());
}

#[test]
fn the_port_of_a_dead_server_is_free_at_once() {
    // Nobody else on the machine has it: of 127.0.0.1, others take ports as soon as they are free.
    let [.., high, middle, low] = process::id().to_be_bytes().map(u32::from);
    let running = start(&format!("127.{}.{middle}.{}:0", 1 + high % 254, 1 + low % 254)).expect("it starts");
    let address = running.server.local_address().to_owned();
    // This side closes first, so that the connection stays in TIME_WAIT here.
    let client = running.dial();
    running.server.close(running.opened()).expect("it is open");
    client.expect_last(b"");
    client.finish();
    running.closed_with(CloseReason::Local);
    drop(running);
    let again = start(&address).expect("the port is free");
    echoes(again.server.local_address());
}

#[test]
fn an_address_in_use_is_named_with_the_reason() {
    let first = start("127.0.0.1:0").expect("it starts");
    let address = first.server.local_address();
    let error = refused(address, ErrorKind::AddressInUse);
    let story = error.to_string();
    assert!(story.contains(address) && story.to_lowercase().contains("address already in use"), "{story}");
    assert_eq!(error.os_error(), Some(nix::errno::Errno::EADDRINUSE as i32));
    echoes(address);
}

#[test]
fn an_address_without_a_host_is_refused_with_the_reason() {
    for address in [":3001", "[]:3001", ":0"] {
        let story = refused(address, ErrorKind::InvalidAddress).to_string();
        assert!(story.contains("no host") && story.contains(address), "{story}");
    }
}

#[test]
fn what_is_no_address_is_refused_and_named() {
    for address in ["", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536", "::1:80", "unix:"] {
        let story = refused(address, ErrorKind::InvalidAddress).to_string();
        assert!(story.contains(&format!("{address:?}")), "{story} does not name {address:?}");
    }
}

#[test]
fn an_address_of_another_machine_is_unavailable() {
    // RFC 5737: no machine has it.
    let story = refused("192.0.2.1:0", ErrorKind::AddressUnavailable).to_string();
    assert!(story.contains("192.0.2.1:0"), "{story}");
}

fn two_servers_that_both_reuse_the_port_share_it(wiring: Wiring) {
    let mut options = wiring.options();
    options.set_reuse_port(true);
    let first = Service::echo().start_at("127.0.0.1:0", wiring.mode(), &options).expect("it starts");
    let address = first.server.local_address().to_owned();
    let second = Service::echo().start_at(&address, wiring.mode(), &options).expect("they share the port");
    assert_eq!(second.server.local_address(), address);
    for _ in 0..50 {
        echoes(&address);
    }
    harness::until("each connection has gone to one of them", || {
        first.stats().connections_accepted + second.stats().connections_accepted == 50
    });
    // Either serves all when the other has gone.
    drop(first);
    for _ in 0..5 {
        echoes(&address);
    }
}

#[test]
fn a_server_that_does_not_reuse_the_port_shares_it_with_nobody() {
    let mut options = Options::new();
    options.set_reuse_port(true);
    let first = start("127.0.0.1:0").expect("it starts");
    let address = first.server.local_address();
    let second = Service::echo().start_at(address, Mode::Single, &options).err().expect("it is refused");
    assert_eq!(second.kind(), ErrorKind::AddressInUse);
}

fn a_unix_socket_is_served(wiring: Wiring) {
    let folder = Folder::new(&format!("served-{wiring:?}"));
    let running = Service::echo().start_at(&folder.address(), wiring.mode(), &wiring.options()).expect("it starts");
    assert_eq!(running.server.local_address(), folder.address());
    let mut client = UnixStream::connect(folder.file()).expect("a server listens");
    client.set_read_timeout(Some(WAIT)).expect("it is not zero");
    let conn = running.opened();
    let peer = running.server.peer(conn).expect("it is open");
    assert_eq!((peer.address(), peer.to_string()), (None, String::new()), "its clients have no address");
    client.write_all(b"hello").expect("the server reads");
    client.shutdown(std::net::Shutdown::Write).expect("it is connected");
    let mut echo = Vec::new();
    client.read_to_end(&mut echo).expect("the server answers");
    assert_eq!(echo, b"hello");
    running.closed_with(CloseReason::Peer);
}

#[test]
fn a_socket_file_is_for_its_owner_alone_unless_told_otherwise() {
    let folder = Folder::new("mode");
    let mode = || fs::symlink_metadata(folder.file()).expect("it is there").permissions().mode() & 0o7777;
    let running = start(&folder.address()).expect("it starts");
    assert_eq!(mode(), 0o600);
    drop(running);
    for wanted in [0o666, 0o640, 0o777, 0] {
        let mut options = Options::new();
        options.set_unix_mode(wanted).expect("in range");
        let _running =
            Service::echo().start_at(&folder.address(), Mode::Single, &options).expect("the file is gone again");
        assert_eq!(mode(), wanted);
    }
}

#[test]
fn the_socket_file_of_a_dead_server_is_replaced() {
    let folder = Folder::new("stale");
    leave_stale(&folder.file());
    let running = start(&folder.address()).expect("nobody listens there any more");
    echoes_at(&folder.file());
    drop(running);
    assert!(!folder.file().exists());
}

#[test]
fn the_socket_file_of_a_live_server_is_in_use_and_left_alone() {
    let folder = Folder::new("live");
    let running = start(&folder.address()).expect("it starts");
    let story = refused(&folder.address(), ErrorKind::AddressInUse).to_string();
    assert!(story.contains(&folder.address()) && story.contains("another server"), "{story}");
    echoes_at(&folder.file());
    drop(running);
    assert!(!folder.file().exists());
}

/// Where its queue is full, a blocking connect waits for it to accept (unix(7)).
#[test]
fn the_socket_file_of_a_server_that_accepts_nothing_is_in_use_too() {
    let folder = Folder::new("full");
    let path = SockAddr::unix(folder.file()).expect("it is short");
    let busy = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket is made");
    busy.bind(&path).expect("nothing is there");
    busy.listen(0).expect("it is bound");
    let waiting: Vec<_> = std::iter::repeat_with(|| {
        let client = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket is made");
        client.set_nonblocking(true).expect("it is open");
        client.connect(&path).map(|()| client)
    })
    .map_while(Result::ok)
    .collect();
    assert!(!waiting.is_empty());
    let (tell, told) = channel();
    let address = folder.address();
    // One that waits does so for ever.
    thread::spawn(move || tell.send(refused(&address, ErrorKind::AddressInUse).to_string()));
    let story = told.recv_timeout(WAIT).expect("it does not wait");
    assert!(story.contains(&folder.address()) && story.contains("another server"), "{story}");
    assert!(is_socket(&folder.file()));
}

#[test]
fn what_is_no_socket_is_in_use_and_never_removed() {
    let folder = Folder::new("others");
    let path = folder.file();
    fs::write(&path, "precious").expect("nothing is there");
    let story = refused(&folder.address(), ErrorKind::AddressInUse).to_string();
    assert!(story.contains(&folder.address()) && story.contains("no socket"), "{story}");
    assert_eq!(fs::read(&path).expect("it is still there"), b"precious");
    fs::remove_file(&path).expect("it is there");

    fs::create_dir(&path).expect("nothing is there");
    refused(&folder.address(), ErrorKind::AddressInUse);
    assert!(path.is_dir());
    fs::remove_dir(&path).expect("it is there");

    let stale = folder.0.join("stale.sock");
    leave_stale(&stale);
    symlink(&stale, &path).expect("nothing is there");
    refused(&folder.address(), ErrorKind::AddressInUse);
    assert!(is_socket(&stale) && path.is_symlink());
}

fn a_socket_file_is_removed_at_the_stop(wiring: Wiring) {
    let folder = Folder::new(&format!("removed-{wiring:?}"));
    let running = Service::echo().start_at(&folder.address(), wiring.mode(), &wiring.options()).expect("it starts");
    assert!(is_socket(&folder.file()));
    running.server.request_stop(10_000);
    running.server.wait().expect("no callback waits");
    assert!(!folder.file().exists());
}

#[test]
fn a_file_that_has_taken_the_place_of_the_socket_is_not_removed_at_the_stop() {
    let folder = Folder::new("replaced");
    let running = start(&folder.address()).expect("it starts");
    fs::remove_file(folder.file()).expect("it is there");
    fs::write(folder.file(), "precious").expect("nothing is there");
    drop(running);
    assert_eq!(fs::read(folder.file()).expect("it is still there"), b"precious");
    fs::remove_file(folder.file()).expect("it is there");

    let running = start(&folder.address()).expect("it starts");
    fs::remove_file(folder.file()).expect("it is there");
    let successor = start(&folder.address()).expect("nothing is there");
    drop(running);
    echoes_at(&folder.file());
    drop(successor);
    assert!(!folder.file().exists());
}

#[test]
fn a_path_that_is_too_long_is_no_address() {
    let folder = Folder::new("long");
    let path = folder.0.join("x".repeat(200));
    let story = refused(&unix(&path), ErrorKind::InvalidAddress).to_string();
    assert!(story.contains("xxx"), "{story}");
}

#[test]
fn a_path_in_a_folder_that_is_not_there_is_refused_with_the_reason() {
    let folder = Folder::new("nowhere");
    let address = unix(&folder.0.join("nowhere/x.sock"));
    let story = refused(&address, ErrorKind::Io).to_string();
    assert!(story.contains(&address) && story.contains("No such file"), "{story}");
}

/// The one test that has to do with the working directory.
#[test]
fn a_relative_path_means_the_same_file_to_the_end() {
    let folder = Folder::new("relative");
    let home = env::current_dir().expect("it is there");
    env::set_current_dir(&folder.0).expect("it is there");
    let running = start("unix:x.sock");
    env::set_current_dir(home).expect("it is there");
    let running = running.expect("it starts");
    assert_eq!(running.server.local_address(), "unix:x.sock");
    echoes_at(&folder.file());
    drop(running);
    assert!(!folder.file().exists(), "it is removed also where the working directory has changed");
}
