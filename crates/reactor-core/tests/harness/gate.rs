//! Owns the gate that holds a server's loops in a callback. Knows nothing of what they find when it opens.

use std::sync::{Condvar, Mutex, MutexGuard};

use reactor_core::Handle;

use super::{Client, Events, WAIT, Wiring};

/// Keeps the loops in a callback, so that what comes meanwhile they find all at once.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    shut: bool,
    /// Loops that stand at it.
    held: usize,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().expect("nobody panics with it")
    }

    /// Shuts the gate and brings each loop to it; says by which connections.
    pub(crate) fn shut(&self, wiring: Wiring, server: &Handle, events: &Events) -> Vec<Client> {
        self.lock().shut = true;
        (1..=wiring.reactors())
            .map(|count| {
                let client = Client::connect(server);
                events.opened();
                // What was told may have been the opening of an earlier one.
                let state = self.changed.wait_timeout_while(self.lock(), WAIT, |state| state.held < count);
                assert!(!state.expect("nobody panics with it").1.timed_out(), "a loop does not come to the gate");
                client
            })
            .collect()
    }

    pub(crate) fn open(&self) {
        self.lock().shut = false;
        self.changed.notify_all();
    }

    pub(super) fn is_shut(&self) -> bool {
        self.lock().shut
    }

    /// What a callback calls.
    pub(super) fn pass(&self) {
        let mut state = self.lock();
        if state.shut {
            state.held += 1;
            self.changed.notify_all();
            state = self.changed.wait_timeout_while(state, WAIT, |state| state.shut).expect("nobody panics with it").0;
            state.held -= 1;
        }
    }
}
