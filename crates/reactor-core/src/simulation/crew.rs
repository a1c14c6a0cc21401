//! Stands in for the threads of a server: its one loop and its workers are kept on a stage, for the simulated world to run
//! them by turns on one thread.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::handler::Handler;
use crate::listener::Listener;
use crate::scene;
use crate::shared::Shared;
use crate::simulation::poller::{Poll, Waker};
use crate::workers::{Pool, Stage};

/// What a server that was started would do on its threads.
pub(crate) struct Play {
    pub(crate) run: Box<dyn FnOnce()>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) workers: Option<Box<dyn Stage>>,
}

thread_local! {
    static PLAY: RefCell<Option<Play>> = const { RefCell::new(None) };
}

/// The server that was started last.
pub(crate) fn take_play() -> Option<Play> {
    PLAY.take()
}

pub(crate) fn grow_descriptor_table(_listener: &Listener, _max_connections: usize) {}

#[expect(clippy::unnecessary_wraps, reason = "as the real one")]
pub(crate) fn poller() -> Result<(Poll, Waker), Error> {
    Ok((Poll, Waker))
}

#[expect(clippy::unnecessary_wraps, reason = "as the real one")]
pub(crate) fn pollers(count: usize) -> Result<(Vec<Waker>, Vec<Poll>), Error> {
    Ok(((0..count).map(|_| Waker).collect(), (0..count).map(|_| Poll).collect()))
}

pub(crate) struct Crew<H: Handler> {
    handler: Arc<H>,
    shared: Arc<Shared>,
}

impl<H: Handler> fmt::Debug for Crew<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew").finish_non_exhaustive()
    }
}

impl<H: Handler> Crew<H> {
    pub(crate) fn new(handler: H, shared: Arc<Shared>) -> Self {
        Crew { handler: Arc::new(handler), shared }
    }

    pub(crate) fn handler(&self) -> &H {
        &self.handler
    }

    pub(crate) fn hire(&mut self, polls: Vec<Poll>, main: Option<Poll>, listener: Listener) -> Result<(), Error> {
        assert!(main.is_none() && polls.len() == 1, "one loop is simulated");
        let pool = (!self.shared.workers.is_empty()).then(|| Arc::new(Pool::new(Arc::clone(&self.shared))));
        let workers = pool.clone().map(|pool| pool.stage(Arc::clone(&self.handler)));
        let (handler, shared) = (Arc::clone(&self.handler), Arc::clone(&self.shared));
        let event_loop = EventLoop::new(0, handler, Arc::clone(&shared), pool.clone(), Poll, Some(listener));
        let mut event_loop = event_loop.map_err(|error| Error::os("making a loop", error))?;
        // The loop and its workers.
        (0..=shared.workers.len()).for_each(|_| shared.presence.enter());
        let run = Box::new(move || {
            scene::enter_server(Arc::as_ptr(&shared).addr(), false);
            event_loop.run();
            drop(event_loop);
            shared.loops[0].finish_cutting();
            if let Some(pool) = pool {
                pool.close();
            }
            // All threads have left.
            for _ in 0..=shared.workers.len() {
                shared.presence.leave();
            }
            scene::enter_server(0, false);
        });
        PLAY.set(Some(Play { run, shared: Arc::clone(&self.shared), workers }));
        Ok(())
    }

    pub(crate) fn open_gates(self) {}
}
