//! Owns the wish to stop: an atomic deadline, and a bell that wakes whoever waits for it, both safe to use in a signal
//! handler. Knows nothing of loops.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::config::BELL_TRIES;
use crate::sync::atomic::{AtomicU64, Ordering};

const NONE: u64 = u64::MAX;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct StopSignal {
    started: Instant,
    /// Milliseconds after `started`; the earliest wins.
    deadline_ms: AtomicU64,
    /// Once a byte is written, the other end stays readable: a bell that rings for ever.
    bell: UnixStream,
    ear: UnixStream,
}

impl StopSignal {
    pub(crate) fn new() -> io::Result<Self> {
        let (bell, ear) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        Ok(StopSignal { started: Instant::now(), deadline_ms: AtomicU64::new(NONE), bell, ear })
    }

    /// Milliseconds since the server began: the time of all its loops.
    pub(crate) fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// The same, of a time.
    pub(crate) fn at_ms(&self, time: Instant) -> u64 {
        time.saturating_duration_since(self.started).as_millis() as u64
    }

    /// Asks for a stop with so many milliseconds for the drain. Async-signal-safe: two atomics, clock_gettime and
    /// send, or shutdown (signal-safety(7)).
    pub(crate) fn request(&self, drain_timeout_ms: u32) {
        let deadline_ms = self.now_ms().saturating_add(drain_timeout_ms.into());
        self.deadline_ms.fetch_min(deadline_ms, Ordering::SeqCst);
        self.ring();
    }

    /// Wakes those who wait in [`wait_for_request`](StopSignal::wait_for_request).
    pub(crate) fn ring(&self) {
        for _ in 0..BELL_TRIES {
            match (&self.bell).write(&[0]) {
                Ok(_) => return,
                // Full, so it rings already.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // EINTR, or the kernel is short of memory: a bell that is not heard would be a stop that never comes.
                Err(_) => {}
            }
        }
        // An end of input is heard as well, and takes no memory; it rings once for all.
        let _ = self.bell.shutdown(Shutdown::Write);
    }

    /// When the drain ends, if a stop was asked for.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        Some(self.deadline_ms.load(Ordering::SeqCst)).filter(|deadline_ms| *deadline_ms != NONE)
    }

    /// Whether the drain has ended: nothing more is sent.
    pub(crate) fn is_over(&self) -> bool {
        self.deadline_ms().is_some_and(|deadline_ms| deadline_ms <= self.now_ms())
    }

    /// Blocks until the bell has rung.
    pub(crate) fn wait_for_request(&self) {
        let mut ears = [PollFd::new(self.ear.as_fd(), PollFlags::POLLIN)];
        while !poll(&mut ears, PollTimeout::NONE).is_ok_and(|ready| ready > 0) {
            // EINTR, or the kernel is short of memory: again, a little later.
            if self.deadline_ms().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
