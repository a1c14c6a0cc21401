//! Owns a number that threads wait for. Knows nothing of what is counted.

use std::sync::{Arc, Condvar, Mutex};

use super::WAIT;

/// A number that threads wait for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<(Mutex<u64>, Condvar)>);

impl Tally {
    pub(crate) fn new() -> Self {
        Tally::default()
    }

    pub(crate) fn add(&self) {
        *self.0.0.lock().expect("nobody panics with it") += 1;
        self.0.1.notify_all();
    }

    pub(crate) fn get(&self) -> u64 {
        *self.0.0.lock().expect("nobody panics with it")
    }

    /// Waits until it is at least so much; says whether it came to that.
    #[must_use]
    pub(crate) fn reaches(&self, count: u64) -> bool {
        let guard = self.0.0.lock().expect("nobody panics with it");
        let (now, _) = self.0.1.wait_timeout_while(guard, WAIT, |now| *now < count).expect("nobody panics with it");
        *now >= count
    }
}
