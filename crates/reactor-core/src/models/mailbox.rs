//! Models of mailbox and waker: whatever is posted is taken, however the loop was about to fall asleep.

use std::sync::Arc;

use loom::thread;

use crate::mailbox::Mailbox;
use crate::models::explore;
use crate::sync::Waker;

/// As a loop does: sleeps unless there is something, then takes its mail.
fn turn(mailbox: &Mailbox<u32>, waker: &Waker, taken: &mut Vec<u32>) {
    if mailbox.sleep(|| false) {
        waker.wait();
    }
    mailbox.awake();
    let (mut mail, mut bytes) = (Vec::new(), Vec::new());
    mailbox.take(&mut mail, &mut bytes);
    taken.extend(mail);
}

/// No wake-up is lost: a loop that slept through a message would never wake up, which loom reports.
#[test]
fn what_is_posted_wakes_a_loop_that_falls_asleep() {
    explore(None, || {
        let waker = Waker::new();
        let mailbox = Arc::new(Mailbox::new(waker.clone()));
        let poster = Arc::clone(&mailbox);
        let poster = thread::spawn(move || poster.post(1));
        let mut taken = Vec::new();
        while taken.is_empty() {
            turn(&mailbox, &waker, &mut taken);
        }
        poster.join().expect("it posts");
        assert_eq!(taken, [1]);
    });
}

/// The same for many that are posted at once.
#[test]
fn what_is_posted_together_wakes_a_loop_that_falls_asleep_and_comes_whole() {
    explore(None, || {
        let waker = Waker::new();
        let mailbox = Arc::new(Mailbox::new(waker.clone()));
        let poster = Arc::clone(&mailbox);
        let poster = thread::spawn(move || poster.post_all(&mut vec![1, 2]));
        let mut taken = Vec::new();
        while taken.is_empty() {
            turn(&mailbox, &waker, &mut taken);
        }
        poster.join().expect("it posts");
        assert_eq!(taken, [1, 2]);
    });
}

/// The same with two that post, and bytes beside the messages: each comes once, and those of one thread in order.
#[test]
fn messages_of_two_threads_come_once_each_and_in_order() {
    explore(Some(1), || {
        let waker = Waker::new();
        let mailbox = Arc::new(Mailbox::new(waker.clone()));
        let posters: Vec<_> = [[1, 2], [3, 4]]
            .map(|numbers| {
                let mailbox = Arc::clone(&mailbox);
                thread::spawn(move || numbers.into_iter().for_each(|number| mailbox.post(number)))
            })
            .into();
        let mut taken = Vec::new();
        while taken.len() < 4 {
            turn(&mailbox, &waker, &mut taken);
        }
        for poster in posters {
            poster.join().expect("it posts");
        }
        let place = |number| taken.iter().position(|taken| *taken == number).expect("it was taken");
        assert!(place(1) < place(2) && place(3) < place(4), "{taken:?}");
    });
}

/// A message is taken or dropped, never kept by a mailbox that is closed.
#[test]
fn a_message_to_a_loop_that_goes_is_dropped() {
    explore(None, || {
        let mailbox = Arc::new(Mailbox::new(Waker::new()));
        let message = Arc::new(());
        let (poster, posted) = (Arc::clone(&mailbox), Arc::clone(&message));
        let poster = thread::spawn(move || poster.post(posted));
        mailbox.close();
        poster.join().expect("it posts");
        assert_eq!(Arc::strong_count(&message), 1, "the closed mailbox keeps it");
    });
}
