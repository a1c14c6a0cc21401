//! Models of the run that a loop and its workers share: each request begins once, and the last to leave an ended run
//! says so.

use std::sync::Arc;
use std::time::Instant;

use loom::sync::Mutex;
use loom::thread;

use crate::conn_id::ConnId;
use crate::models::explore;
use crate::requests::Requests;
use crate::run::{Leave, Left, Run, Schedule, Take};

fn run(serial: bool) -> Arc<Run<()>> {
    let run = Run::new(serial, None, 1_000);
    run.assign(ConnId::new(0, 1, 1), (), 0, 0);
    Arc::new(run)
}

/// How often the run stands in the workers' queue, and how many requests were begun.
struct Queue {
    tickets: Mutex<usize>,
    begun: Mutex<u64>,
}

impl Queue {
    fn new() -> Arc<Self> {
        Arc::new(Queue { tickets: Mutex::new(0), begun: Mutex::new(0) })
    }

    fn add(&self, schedule: Schedule) {
        if let Schedule::Enqueue(times) = schedule {
            *self.tickets.lock().expect("no poison") += times;
        }
    }

    /// A worker takes the run as often as it stands in the queue.
    fn work(&self, run: &Run<()>) {
        loop {
            {
                let mut tickets = self.tickets.lock().expect("no poison");
                if *tickets == 0 {
                    return;
                }
                *tickets -= 1;
            }
            let mut batch = Requests::default();
            let Take::Begin { mut number } = run.take(&mut batch).what else { continue };
            while batch.pop().is_some() {
                let mut begun = self.begun.lock().expect("no poison");
                assert_eq!(*begun, number, "requests begin in order");
                number += 1;
                *begun = number;
            }
            if run.leave(&mut batch, number, Leave::Free) == Left::Again {
                *self.tickets.lock().expect("no poison") += 1;
            }
        }
    }
}

fn push(run: &Run<()>) -> Schedule {
    let mut batch = Requests::default();
    batch.push(b"x");
    run.push(Instant::now(), &mut batch)
}

/// What is handed over while a worker leaves is begun, by that worker's second turn or another's, and once.
#[test]
fn a_request_handed_over_while_a_worker_leaves_is_not_lost() {
    explore(None, || {
        let (run, queue) = (run(true), Queue::new());
        queue.add(push(&run));
        let worker = {
            let (run, queue) = (Arc::clone(&run), Arc::clone(&queue));
            thread::spawn(move || queue.work(&run))
        };
        queue.add(push(&run));
        queue.work(&run);
        worker.join().expect("it works");
        queue.work(&run);
        assert_eq!(*queue.begun.lock().expect("no poison"), 2);
    });
}

/// Where the connection ends around a worker, either the loop finds nobody in the run or the worker says that it has left:
/// else the last callback would come twice, or never.
#[test]
fn the_end_of_a_connection_is_told_by_one_of_loop_and_worker() {
    explore(None, || {
        let run = run(true);
        let _ = push(&run);
        let worker = {
            let run = Arc::clone(&run);
            thread::spawn(move || {
                let mut batch = Requests::default();
                match run.take(&mut batch).what {
                    Take::Begin { number } => run.leave(&mut batch, number + 1, Leave::Free) == Left::LastOfEnded,
                    Take::Stalled | Take::Nothing => false,
                }
            })
        };
        let busy = run.end();
        let told = worker.join().expect("it works");
        assert_eq!(busy, told);
    });
}

/// A promise that is kept before the worker that made it has left: the run goes on, once.
#[test]
fn a_promise_kept_while_its_worker_leaves_lets_the_run_go_on() {
    explore(None, || {
        let run = run(true);
        let mut batch = Requests::default();
        batch.push(b"x");
        batch.push(b"y");
        assert_eq!(run.push(Instant::now(), &mut batch), Schedule::Enqueue(1));
        let mut taken = Requests::default();
        assert_eq!(run.take(&mut taken).what, Take::Begin { number: 0 });
        assert!(taken.pop().is_some());
        let worker = {
            let run = Arc::clone(&run);
            thread::spawn(move || usize::from(run.leave(&mut taken, 1, Leave::Deferred) == Left::Again))
        };
        // The loop has the deferred reply.
        let by_loop = match run.unblock() {
            Schedule::Enqueue(times) => times,
            Schedule::Nothing => 0,
        };
        assert_eq!(by_loop + worker.join().expect("it leaves"), 1, "it stands in the queue once");
        let mut rest = Requests::default();
        assert_eq!(run.take(&mut rest).what, Take::Begin { number: 1 });
    });
}

/// A run that stalls at the high mark while the loop finds that output has left: it goes on, once.
#[test]
fn a_run_that_is_resumed_while_its_worker_stalls_goes_on() {
    explore(None, || {
        let run = run(true);
        let _ = push(&run);
        run.add_due(1_000);
        let worker = {
            let run = Arc::clone(&run);
            thread::spawn(move || run.take(&mut Requests::default()).what)
        };
        run.sent(1_000);
        let early = run.resume();
        // What the worker finds decides who must go on; the loop resumes once it is told of the stall.
        match worker.join().expect("it takes the run") {
            Take::Begin { .. } => assert_eq!(early, Schedule::Nothing),
            Take::Stalled if early == Schedule::Nothing => assert_eq!(run.resume(), Schedule::Enqueue(1)),
            Take::Stalled => assert_eq!(run.resume(), Schedule::Nothing, "it was put into the queue already"),
            Take::Nothing => panic!("a request waits"),
        }
    });
}
