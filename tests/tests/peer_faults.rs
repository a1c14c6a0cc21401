//! A system that fails: short reads and writes, interrupted calls, errors (R4, R7). The short form; `cargo xtask faults`
//! runs it with more.

use std::env;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use nix::errno::Errno;
use reactor_tests::faults::{CALLS, Outcome, strike};
use reactor_tests::peers::faulty_server;
use reactor_tests::{Mode, alone, alphabet, assert_same_bytes, in_each_mode, pseudo_random_bytes};

/// Servers that are struck at once: more than there are processors, for some of them wait.
const LANES: usize = 4;
/// After so many it has been shown well enough that it does not hold.
const MOST_BROKEN: usize = 20;

in_each_mode!(
    bytes_that_come_and_go_by_ones_and_sevens_are_the_same,
    lines_cut_at_every_place_are_the_same_requests,
    a_call_that_fails_once_costs_one_connection_at_most,
);

// R7, R19: the write that tells a waiting host of a stop is one of the calls that can fail: sent again, or the stop is lost
// and reactor_wait never returns.
#[test]
fn a_stop_is_not_lost_where_its_wake_up_fails_once() {
    for error in [Errno::EINTR, Errno::ENOBUFS, Errno::ENOMEM] {
        let server = faulty_server(Mode::Multi, "quiet=1", &format!("bell:1:{}", error as i32));
        server.connect().ask(b"write 1\n", b"a");
        server.stop().report.assert_nothing_lost();
    }
}

/// A number from the environment, where `cargo xtask faults` has put it.
fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}

fn seed() -> u64 {
    setting("REACTOR_FAULTS_SEED", 20_260)
}

// R4: 1 to 7 bytes a call, one call in eight fails with EINTR or EAGAIN, and every byte is the same in the same order.
fn bytes_that_come_and_go_by_ones_and_sevens_are_the_same(mode: Mode) {
    let count = usize::try_from(setting("REACTOR_FAULTS_BYTES", 50_000)).expect("a size");
    let _alone = alone();
    let server = faulty_server(mode, "framing=raw,quiet=1", &format!("short:{}", seed()));
    thread::scope(|scope| {
        for index in 0..8 {
            let mut client = server.connect();
            scope.spawn(move || {
                let bytes = pseudo_random_bytes(count + index, seed() + index as u64);
                assert_same_bytes(&client.exchange(&bytes), &bytes);
            });
        }
    });
    let stopped = server.stop();
    stopped.report.assert_nothing_lost();
    let calls = stopped.lines.iter().find(|line| line.starts_with("calls: ")).expect("the shim tells at the end");
    let receives: usize =
        calls.split(' ').find_map(|call| call.strip_prefix("recv=")?.parse().ok()).expect("it counts");
    assert!(receives > 8 * count / 7, "the shim was not in the way: {calls}");
}

// R4: the same for framing and gathered writes.
fn lines_cut_at_every_place_are_the_same_requests(mode: Mode) {
    let _alone = alone();
    let server = faulty_server(mode, "quiet=1", &format!("short:{}", seed() + 1));
    let sizes: Vec<usize> = (0..200).map(|index| index * 7_919 % 300).collect();
    let requests: String = sizes.iter().map(|size| format!("write {size}\nsends 2 10\n")).collect();
    let reply = |&size| [alphabet(size), b"#000000:..#000001:..end\n".to_vec()].concat();
    let expected: Vec<u8> = sizes.iter().flat_map(reply).collect();
    thread::scope(|scope| {
        for _ in 0..4 {
            let mut client = server.connect();
            let (requests, expected) = (&requests, &expected);
            scope.spawn(move || assert_same_bytes(&client.exchange(requests.as_bytes()), expected));
        }
    });
    server.stop().report.assert_nothing_lost();
}

// R7: each call, failing once, at each of its first 500 calls, with each errno that it can return.
fn a_call_that_fails_once_costs_one_connection_at_most(mode: Mode) {
    let _alone = alone();
    let first = setting("REACTOR_FAULTS_CALLS", 500);
    let samples = setting("REACTOR_FAULTS_SAMPLES", 12);
    let every = env::var_os("REACTOR_FAULTS_ALL").is_some();
    let only = env::var("REACTOR_FAULTS_ONLY").ok();
    let mut faults: Vec<_> = CALLS
        .iter()
        .filter(|call| only.as_deref().is_none_or(|only| only == call.name))
        .flat_map(|call| {
            call.errors.iter().flat_map(move |&error| (1..=first).map(move |number| (call, number, error)))
        })
        .collect();
    let of = faults.len();
    if !every {
        let keys = pseudo_random_bytes(8 * faults.len(), seed());
        let mut keyed: Vec<_> = keys.chunks(8).map(<[u8]>::to_vec).zip(faults).collect();
        keyed.sort_by(|a, b| a.0.cmp(&b.0));
        faults = keyed.into_iter().map(|(_, fault)| fault).take(usize::try_from(samples).expect("a count")).collect();
        // And those that strike the start.
        let early = CALLS.iter().filter(|call| matches!(call.name, "epoll_ctl" | "setsockopt"));
        faults.extend(early.flat_map(|call| [(call, 1, call.errors[0]), (call, 2, call.errors[0])]));
    }
    let begun = Instant::now();
    let [survived, refused, missed] = [AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0)];
    let (next, broken) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let strike_on = || loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        let Some((call, number, error)) = faults.get(at) else { return };
        let count = match catch_unwind(|| strike(mode, call, *number, *error)) {
            Ok(Outcome::Survived) => &survived,
            Ok(Outcome::StartRefused) => &refused,
            Ok(Outcome::NotReached) => &missed,
            // The panic has told its story; the others are worth knowing too.
            Err(_) => {
                let mut broken = broken.lock().expect("nobody panics with it");
                broken.push(format!("{} {number} {error}", call.name));
                if broken.len() == MOST_BROKEN {
                    return next.store(faults.len(), Ordering::Relaxed);
                }
                continue;
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
        if at % 1_000 == 999 {
            println!("{mode:?}: {} of {} faults, {:.0} s", at + 1, faults.len(), begun.elapsed().as_secs_f64());
        }
    };
    thread::scope(|scope| (0..LANES).for_each(|_| drop(scope.spawn(strike_on))));
    let [survived, refused, missed] = [survived, refused, missed].map(AtomicUsize::into_inner);
    println!(
        "{mode:?}: seed {}: {} of {of} faults: survived {survived}, start refused with a reason {refused}, call never made \
         {missed}; {:.0} s",
        seed(),
        faults.len(),
        begun.elapsed().as_secs_f64()
    );
    let broken = broken.into_inner().expect("nobody panics with it");
    assert!(broken.is_empty(), "{mode:?}: {} faults broke something: {}", broken.len(), broken.join(", "));
    assert!(survived > 0 && missed <= faults.len() / 4, "{missed} of {} faults never struck", faults.len());
}
