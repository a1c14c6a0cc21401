//! Which threads there are, what they are called, what they block, and which connections each of them has.

use std::collections::BTreeMap;

use reactor_tests::{
    Client, Mode, Server, Thread, in_each_mode, in_each_mode_of_node, run_program_in, threads, wait_until,
};

in_each_mode!(
    threads_are_named_and_block_every_signal,
    callbacks_run_on_the_threads_that_the_mode_says,
    callbacks_have_a_stack_of_2_mib_whatever_the_environment_says,
);

/// SIGKILL and SIGSTOP cannot be blocked; 32 and 33 are the C library's own (nptl(7)).
const BLOCKABLE: u64 = !((1_u64 << 8) | (1 << 18) | (1 << 31) | (1 << 32));

in_each_mode_of_node!(
    the_packages_threads_are_named_and_block_every_signal,
    handlers_run_on_the_threads_that_the_mode_says
);

/// Asks enough of the server, at once, for all its threads to have been started and named.
fn exercise(server: &Server) -> Vec<Client> {
    let mut clients: Vec<_> = (0..16).map(|_| server.connect()).collect();
    for _ in 0..10 {
        clients.iter_mut().for_each(|client| client.send(b"ping"));
        clients.iter_mut().for_each(|client| assert_eq!(client.receive(4), b"ping"));
    }
    clients
}

/// The library's threads by name; those of the host have the program's.
fn library_threads(server: &Server) -> Vec<Thread> {
    let mut found: Vec<_> = threads(server.pid()).into_iter().filter(|thread| thread.name != "probe_echo").collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn threads_are_named_and_block_every_signal(mode: Mode) {
    let server = Server::program("probe_echo", &mode.args_with_two_reactors());
    let clients = exercise(&server);
    let mut expected =
        if mode.has_main_reactor() { vec!["reactor-0", "reactor-1", "reactor-main"] } else { vec!["reactor-0"] };
    if mode.has_workers() {
        // The kernel keeps 15 bytes of a name, which end before the number.
        expected.extend(["reactor-worker-"; 4]);
    }
    let mut names = Vec::new();
    wait_until("the library's threads", || {
        names = library_threads(&server).into_iter().map(|thread| thread.name).collect();
        names == expected || names.len() > expected.len()
    });
    assert_eq!(names, expected);

    for thread in library_threads(&server) {
        assert_eq!(thread.blocked_signals & BLOCKABLE, BLOCKABLE, "{thread:x?}");
        assert!(!thread.is_main, "{thread:x?}");
    }
    // The host's own masks are its business. (Its C library blocks signals for as long as it makes a thread.)
    wait_until("the host's threads to block nothing", || {
        threads(server.pid()).iter().filter(|thread| thread.name == "probe_echo").all(|host| host.blocked_signals == 0)
    });
    drop(clients);
    server.stop().report.assert_nothing_lost();
}

fn callbacks_run_on_the_threads_that_the_mode_says(mode: Mode) {
    let server = Server::program("probe_echo", &mode.args_with_two_reactors());
    let clients = exercise(&server);
    drop(clients);
    let stopped = server.stop();
    let thread_of = |line: &String| line.split_once("thread=").map(|(_, name)| name.to_owned());
    let reactors: &[_] = if mode.has_main_reactor() { &["reactor-0", "reactor-1"] } else { &["reactor-0"] };
    for line in stopped.lines.iter().filter(|line| line.starts_with("open ")) {
        let thread = thread_of(line).expect("probe_echo says it of each");
        assert!(reactors.contains(&thread.as_str()), "{line}");
    }
    for line in stopped.lines.iter().filter(|line| line.starts_with("process len")) {
        let thread = thread_of(line).expect("probe_echo says it of each");
        let right =
            if mode.has_workers() { thread.starts_with("reactor-worker") } else { reactors.contains(&&*thread) };
        assert!(right, "{line}");
    }
}

/// The program asks from inside them.
fn callbacks_have_a_stack_of_2_mib_whatever_the_environment_says(mode: Mode) {
    run_program_in(mode, "stack", &[]);
}

/// The threads that own sockets, or accept, and the one that waits for the server's end; the others are Node.js's own.
fn threads_of_the_package(server: &Server) -> Vec<Thread> {
    let is_ours = |thread: &Thread| thread.name.starts_with("reactor-");
    let mut found: Vec<_> = threads(server.pid()).into_iter().filter(is_ours).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn the_packages_threads_are_named_and_block_every_signal(mode: Mode) {
    let server = Server::program_with_two_reactors(mode, "probe_echo", &[]);
    let clients = exercise(&server);
    // No native worker stands between a reactor and JavaScript, in any mode.
    let expected: &[_] = if mode.has_main_reactor() {
        &["reactor-0", "reactor-1", "reactor-main", "reactor-wait"]
    } else {
        &["reactor-0", "reactor-wait"]
    };
    let mut names = Vec::new();
    // A thread names itself, so it has its name a little after it is there.
    wait_until("the package's threads", || {
        names = threads_of_the_package(&server).into_iter().map(|thread| thread.name).collect();
        names == expected || names.len() > expected.len()
    });
    assert_eq!(names, expected);
    for thread in threads_of_the_package(&server) {
        assert_eq!(thread.blocked_signals & BLOCKABLE, BLOCKABLE, "{thread:x?}");
    }
    server.stop_with(clients).report.assert_nothing_lost();
}

fn handlers_run_on_the_threads_that_the_mode_says(mode: Mode) {
    let server = Server::program_in(mode, "probe_echo", &[]);
    let stopped = {
        let clients = exercise(&server);
        server.stop_with(clients)
    };
    let thread = if mode.is_node_module() { "thread=worker" } else { "thread=main" };
    for what in ["open ", "process len"] {
        let lines: Vec<_> = stopped.lines.iter().filter(|line| line.starts_with(what)).collect();
        assert!(!lines.is_empty() && lines.iter().all(|line| line.ends_with(thread)), "{what}: {lines:#?}");
    }
}

#[test]
fn connections_spread_evenly_over_the_reactors() {
    spread_evenly(Mode::Multi);
}

#[test]
fn connections_spread_evenly_over_the_reactors_that_share_workers() {
    spread_evenly(Mode::MultiWithWorkers);
}

fn spread_evenly(mode: Mode) {
    let mut server = Server::program_in(mode, "probe_echo", &["--reactors", "3"]);
    let mut by_reactor = BTreeMap::<String, Vec<Client>>::new();
    for _ in 0..33 {
        let (reactor, client) = connect_and_learn_reactor(&mut server);
        by_reactor.entry(reactor).or_default().push(client);
    }
    let counts: Vec<_> = by_reactor.iter().map(|(name, clients)| (name.as_str(), clients.len())).collect();
    assert_eq!(counts, [("reactor-0", 11), ("reactor-1", 11), ("reactor-2", 11)]);

    // The reactor that has the fewest gets the next.
    let clients = by_reactor.get_mut("reactor-1").expect("it has 11");
    clients.truncate(1);
    server.expect_lines(10, "close ");
    // Its turn in which they closed is over.
    clients[0].ask(b"ping", b"ping");
    clients[0].ask(b"pong", b"pong");
    let new: Vec<_> = (0..10).map(|_| connect_and_learn_reactor(&mut server)).collect();
    assert!(new.iter().all(|(reactor, _)| reactor == "reactor-1"), "{:?}", new.iter().map(|pair| &pair.0));
}

fn connect_and_learn_reactor(server: &mut Server) -> (String, Client) {
    let mut client = server.connect();
    client.ask(b"ping", b"ping");
    let line = server.expect_line("open ");
    let (_, reactor) = line.split_once("thread=").expect("probe_echo says it of each");
    (reactor.to_owned(), client)
}
