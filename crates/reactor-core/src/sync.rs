//! Owns which locks, atomics and threads the queues between threads are made of: those of `std`, or under `--cfg loom` those
//! of `loom`, which runs a model through every interleaving there is. Knows nothing of what they guard.

#[cfg(not(loom))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};

#[cfg(not(loom))]
pub(crate) mod thread {
    pub(crate) use std::thread::{Thread, current, park};
}

/// How long ago that was, in nanoseconds. In a model no time passes, or no run of it could be had again.
pub(crate) fn since_ns(began: std::time::Instant) -> u64 {
    if cfg!(loom) { 0 } else { began.elapsed().as_nanos() as u64 }
}

/// What wakes a loop.
#[cfg(not(loom))]
pub(crate) use mio::Waker;

#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};

#[cfg(loom)]
pub(crate) use self::modelled::{Waker, atomic, thread};

#[cfg(loom)]
mod modelled {
    use std::io;
    use std::sync::Arc;

    use loom::sync::Notify;

    /// In place of an eventfd: once rung, the next wait returns; it may return once without. Who is never rung is a deadlock,
    /// which loom reports. Not loom's own park nor its Condvar: those of 0.7.2 may forget that a thread was unparked which
    /// is about to park.
    #[derive(Clone, Debug)]
    pub(crate) struct Waker(Arc<Notify>);

    impl Waker {
        pub(crate) fn new() -> Self {
            Waker(Arc::new(Notify::new()))
        }

        pub(crate) fn wake(&self) -> io::Result<()> {
            self.0.notify();
            Ok(())
        }

        /// As a poll without a time limit.
        pub(crate) fn wait(&self) {
            self.0.wait();
        }
    }

    impl From<mio::Waker> for Waker {
        /// A server that is started outside a model would never be woken.
        fn from(_waker: mio::Waker) -> Self {
            unreachable!("no server is started under loom")
        }
    }

    pub(crate) mod atomic {
        pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

        /// As loom's, but for `swap`: that of 0.7.2 may read a value that has been written over, whatever the order asked
        /// for. A failed exchange writes nothing, and is not wrong so.
        #[derive(Debug)]
        pub(crate) struct AtomicBool(loom::sync::atomic::AtomicBool);

        impl AtomicBool {
            pub(crate) fn new(value: bool) -> Self {
                AtomicBool(loom::sync::atomic::AtomicBool::new(value))
            }

            pub(crate) fn load(&self, order: Ordering) -> bool {
                self.0.load(order)
            }

            pub(crate) fn store(&self, value: bool, order: Ordering) {
                self.0.store(value, order);
            }

            pub(crate) fn swap(&self, value: bool, order: Ordering) -> bool {
                let failure = if order == Ordering::Acquire { Ordering::Acquire } else { Ordering::Relaxed };
                let was_other = self.0.compare_exchange(!value, value, order, failure).is_ok();
                if was_other { !value } else { value }
            }
        }

        impl Default for AtomicBool {
            fn default() -> Self {
                AtomicBool::new(false)
            }
        }
    }

    /// In place of `std::thread`'s own.
    pub(crate) mod thread {
        use super::Waker;

        loom::thread_local! {
            static TOKEN: Waker = Waker::new();
        }

        #[derive(Debug)]
        pub(crate) struct Thread(Waker);

        impl Thread {
            pub(crate) fn unpark(&self) {
                // It cannot fail.
                let _ = self.0.wake();
            }
        }

        pub(crate) fn current() -> Thread {
            Thread(TOKEN.with(Waker::clone))
        }

        pub(crate) fn park() {
            TOKEN.with(Waker::clone).wait();
        }
    }
}
