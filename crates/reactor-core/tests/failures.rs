//! Owns the promise that a callback which panics or fails costs its own connection and no more, however many do.

#[expect(dead_code, unused_imports, reason = "each suite uses its part")]
mod harness;

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use harness::{Client, Service, Wiring, answer, in_each_mode, lines};
use reactor_core::{CloseReason, Failed, Order};

in_each_mode!(each_panic_or_failure_costs_its_own_connection_alone);

/// How many in each mode; 100 000 take a minute, and are run by hand.
fn failures() -> u64 {
    std::env::var("FAILURES").ok().and_then(|count| count.parse().ok()).unwrap_or(600)
}

/// Not by `panic!`, whose hook would print each of them.
fn panics() -> ! {
    resume_unwind(Box::new("this panic is part of the test"))
}

fn each_panic_or_failure_costs_its_own_connection_alone(wiring: Wiring) {
    const WAYS: [&str; 4] = ["panic", "write, then panic", "defer, then panic", "fail"];
    let one_too_many = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&one_too_many);
    let service = Service::new(move |_, request, reply| match request {
        b"panic" => panics(),
        b"write, then panic" => {
            answer(reply, b"never")?;
            panics()
        }
        b"defer, then panic" => {
            let _promise = reply.defer().map_err(|_| Failed)?;
            panics()
        }
        b"fail" => Err(Failed),
        b"never begins" => {
            seen.store(true, Ordering::Relaxed);
            answer(reply, request)
        }
        _ => answer(reply, request),
    });
    let count = failures();
    let mut options = wiring.framed(lines(true));
    options.set_order(Order::Serial);
    let running = service.start(wiring, &options);
    let (address, begun, over) = (running.server.local_address(), AtomicU64::new(0), AtomicBool::new(false));
    let (bystander, its_id) = running.connect();
    let fail = || loop {
        let number = begun.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return;
        }
        let client = Client::to(address);
        client.send(format!("{number}\n{}\nnever begins\n", WAYS[(number % 4) as usize]).as_bytes());
        client.expect_last(format!("{number}\n").as_bytes());
    };
    let asked = thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut asked = 0_u64;
            while asked == 0 || !over.load(Ordering::Relaxed) {
                let line = format!("bystander {asked}\n");
                bystander.send(line.as_bytes());
                bystander.expect(line.as_bytes());
                asked += 1;
            }
            asked
        });
        thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(fail))));
        over.store(true, Ordering::Relaxed);
        asking.join().expect("the bystander's answers are right")
    });
    for _ in 0..count {
        assert_ne!(running.closed_with(CloseReason::CallbackFailed).conn, its_id);
    }
    assert!(!one_too_many.load(Ordering::Relaxed), "what comes behind a failure never begins");
    let stats = running.stats();
    assert_eq!((stats.replies, stats.callback_failures), (count + asked, count));
    bystander.finish();
    bystander.expect_last(b"");
    assert_eq!(running.closed_with(CloseReason::Peer).conn, its_id);
}
