//! Owns what other threads ask of a loop, and the waking of it: a loop that is awake is never written to. Knows
//! nothing of what the loop does with it.

use std::mem;
use std::sync::PoisonError;

use crate::sync::atomic::{AtomicBool, Ordering, fence};
use crate::sync::{Mutex, MutexGuard, Waker};

/// A queue into one loop, from any thread.
#[derive(Debug)]
pub(crate) struct Mailbox<M> {
    queue: Mutex<Queue<M>>,
    /// Whether `queue` has something; spares the loop the lock.
    filled: AtomicBool,
    /// Whether the loop sleeps, or is about to.
    sleeping: AtomicBool,
    waker: Waker,
}

#[derive(Debug)]
struct Queue<M> {
    messages: Vec<M>,
    /// What was posted beside them, in the same order.
    bytes: Vec<u8>,
    /// The loop has gone: what is posted is dropped.
    closed: bool,
}

impl<M> Mailbox<M> {
    pub(crate) fn new(waker: impl Into<Waker>) -> Self {
        Mailbox {
            queue: Mutex::new(Queue { messages: Vec::new(), bytes: Vec::new(), closed: false }),
            filled: AtomicBool::new(false),
            sleeping: AtomicBool::new(false),
            waker: waker.into(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<M>> {
        // Nothing panics while it is held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Posts a message and wakes the loop if it sleeps.
    pub(crate) fn post(&self, message: M) {
        self.post_with(message, &[]);
    }

    /// As [`post`](Mailbox::post), with a copy of `bytes` beside it: so no buffer has to pass from one thread to another.
    pub(crate) fn post_with(&self, message: M, bytes: &[u8]) {
        let mut queue = self.lock();
        if queue.closed {
            // The message is dropped outside the lock: it may hold a socket, or the last of a push.
            drop(queue);
            return;
        }
        queue.messages.push(message);
        queue.bytes.extend_from_slice(bytes);
        drop(queue);
        self.filled.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Posts all of `messages` in their order, under one lock, and wakes the loop once if it sleeps; leaves them empty.
    pub(crate) fn post_all(&self, messages: &mut Vec<M>) {
        if messages.is_empty() {
            return;
        }
        let mut queue = self.lock();
        if queue.closed {
            // As above.
            drop(queue);
            messages.clear();
            return;
        }
        queue.messages.append(messages);
        drop(queue);
        self.filled.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Wakes the loop if it sleeps. Takes no lock and allocates nothing, so a signal handler may call it (an eventfd is
    /// written to: signal-safety(7)).
    pub(crate) fn wake(&self) {
        // Pairs with the fence in `sleep`: either the loop sees what was posted before, or we see that it sleeps.
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::Relaxed) {
            // It fails only where its descriptor is gone, and that lives as long as the mailbox.
            let _ = self.waker.wake();
        }
    }

    /// The loop is about to sleep unless there is something to do; `other_work` says whether there is beyond the mail.
    /// Says whether it may sleep.
    pub(crate) fn sleep(&self, other_work: impl FnOnce() -> bool) -> bool {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let may_sleep = !self.filled.load(Ordering::Relaxed) && !other_work();
        if !may_sleep {
            self.sleeping.store(false, Ordering::Relaxed);
        }
        may_sleep
    }

    /// The loop is awake again.
    pub(crate) fn awake(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }

    /// Moves all messages to `messages` and what was posted beside them to `bytes`; both are empty.
    pub(crate) fn take(&self, messages: &mut Vec<M>, bytes: &mut Vec<u8>) {
        debug_assert!(messages.is_empty() && bytes.is_empty());
        if self.filled.load(Ordering::Relaxed) {
            let mut queue = self.lock();
            self.filled.store(false, Ordering::Relaxed);
            mem::swap(&mut queue.messages, messages);
            mem::swap(&mut queue.bytes, bytes);
        }
    }

    /// The loop goes: what is there, and what is posted from here on, is dropped.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        let messages = mem::take(&mut queue.messages);
        drop(queue);
        drop(messages);
    }
}
