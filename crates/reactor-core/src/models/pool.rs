//! Models of the pool: no run is left in the queue while its workers sleep, and all of them go home in the end.

use std::sync::Arc;
use std::time::Instant;

use loom::thread;

use crate::conn_id::ConnId;
use crate::handler::{Failed, Handler, Peer, Reply};
use crate::models::{explore, server};
use crate::requests::Requests;
use crate::run::{Run, Schedule};
use crate::shared::{Message, Shared};
use crate::sync::Waker;
use crate::workers::{Pool, Watch, work};

struct Silent;

impl Handler for Silent {
    type Data = ();

    fn open(&self, _conn: ConnId, _peer: Peer) -> Option<()> {
        Some(())
    }

    fn process(&self, _request: &[u8], _reply: &mut Reply<'_, ()>) -> Result<(), Failed> {
        Ok(())
    }
}

fn run_of(slot: usize) -> Arc<Run<()>> {
    let run = Run::new(true, None, 1_000);
    run.assign(ConnId::new(0, slot, 1), (), 0, 0);
    let mut batch = Requests::default();
    batch.push(b"x");
    assert_eq!(run.push(Instant::now(), &mut batch), Schedule::Enqueue(1));
    Arc::new(run)
}

fn hire(pool: &Arc<Pool<()>>, seat: usize) -> thread::JoinHandle<()> {
    let pool = Arc::clone(pool);
    thread::spawn(move || work(&Silent, &*pool, seat))
}

/// Waits for so many answers, as the loop does.
fn answers(shared: &Shared, waker: &Waker, count: usize) {
    let mailbox = &shared.loops[0].mailbox;
    let (mut mail, mut bytes, mut taken) = (Vec::new(), Vec::new(), 0);
    while taken < count {
        if mailbox.sleep(|| false) {
            waker.wait();
        }
        mailbox.awake();
        mailbox.take(&mut mail, &mut bytes);
        bytes.clear();
        for message in mail.drain(..) {
            let answer = matches!(message, Message::Answer(..) | Message::Copied(..));
            taken += usize::from(answer);
        }
    }
}

/// From the loop to a worker that parks, and back to a loop that falls asleep: neither sleeps through the other.
#[test]
fn a_request_finds_a_worker_and_its_answer_the_loop() {
    explore(Some(2), || {
        let (shared, waker) = server(1);
        let pool = Arc::new(Pool::new(Arc::clone(&shared)));
        let worker = hire(&pool, 0);
        pool.submit(&mut vec![run_of(1)], &mut Watch::new());
        answers(&shared, &waker, 1);
        pool.close();
        worker.join().expect("it goes home");
    });
}

/// Two hand-overs and two workers: as few are awake as the work needs, but never too few.
#[test]
fn no_run_stays_in_the_queue_while_workers_sleep() {
    explore(Some(1), || {
        let (shared, waker) = server(2);
        let pool = Arc::new(Pool::new(Arc::clone(&shared)));
        let workers = [hire(&pool, 0), hire(&pool, 1)];
        let mut watch = Watch::new();
        pool.submit(&mut vec![run_of(1)], &mut watch);
        pool.submit(&mut vec![run_of(2)], &mut watch);
        answers(&shared, &waker, 2);
        pool.close();
        for worker in workers {
            worker.join().expect("it goes home");
        }
    });
}

/// A worker that takes up what took long last time leaves the rest to another, which it wakes.
#[test]
fn no_run_stays_in_the_queue_while_a_worker_steps_aside() {
    explore(Some(1), || {
        let (shared, waker) = server(2);
        let pool = Arc::new(Pool::new(Arc::clone(&shared)));
        let workers = [hire(&pool, 0), hire(&pool, 1)];
        let slow = run_of(1);
        slow.set_slow(true);
        pool.submit(&mut vec![slow, run_of(2)], &mut Watch::new());
        answers(&shared, &waker, 2);
        pool.close();
        for worker in workers {
            worker.join().expect("it goes home");
        }
    });
}

/// The last loop goes while a worker is about to park.
#[test]
fn a_worker_that_parks_goes_home_when_the_pool_closes() {
    explore(None, || {
        let (shared, _waker) = server(1);
        let pool = Arc::new(Pool::new(shared));
        let worker = hire(&pool, 0);
        pool.close();
        worker.join().expect("it goes home");
    });
}
