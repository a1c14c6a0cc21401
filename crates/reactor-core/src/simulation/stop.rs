//! Stands in for the wish to stop: the same deadline, by the simulated clock, and no bell, for nobody blocks. The real one
//! has models of its own.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::simulation::clock;

const NONE: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct StopSignal {
    deadline_ms: AtomicU64,
}

impl StopSignal {
    #[expect(clippy::unnecessary_wraps, reason = "as the real one")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(StopSignal { deadline_ms: AtomicU64::new(NONE) })
    }

    pub(crate) fn now_ms(&self) -> u64 {
        clock::now_ms()
    }

    /// The time of the run, whatever the machine's clock says.
    pub(crate) fn at_ms(&self, _time: Instant) -> u64 {
        clock::now_ms()
    }

    pub(crate) fn request(&self, drain_timeout_ms: u32) {
        let deadline_ms = self.now_ms().saturating_add(drain_timeout_ms.into());
        self.deadline_ms.fetch_min(deadline_ms, Ordering::SeqCst);
    }

    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        Some(self.deadline_ms.load(Ordering::SeqCst)).filter(|deadline_ms| *deadline_ms != NONE)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.deadline_ms().is_some_and(|deadline_ms| deadline_ms <= self.now_ms())
    }

    pub(crate) fn wait_for_request(&self) {
        assert!(self.deadline_ms().is_some(), "nobody would ever wake who waits here");
    }
}
