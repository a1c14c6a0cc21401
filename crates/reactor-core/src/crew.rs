//! Owns the threads of a server: what each of them is given, and that none runs a callback unless all are there. Knows
//! nothing of what they do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use mio::{Poll, Waker};
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{SigSet, SigmaskHow};

use crate::config::{DESCRIPTORS_GROWN, SPARE_DESCRIPTORS, STACK_BYTES};
use crate::error::{Error, ErrorKind};
use crate::event_loop::main_reactor::MainReactor;
use crate::event_loop::{EventLoop, WAKER};
use crate::handler::Handler;
use crate::listener::Listener;
use crate::scene;
use crate::shared::{Presence, Shared};
use crate::workers::{self, Pool};

/// Growing the table of a process with several threads stalls each that uses a descriptor, for milliseconds each time it
/// doubles, and a burst of connects overflows the backlog meanwhile. So it is grown once, before there are threads.
pub(crate) fn grow_descriptor_table(listener: &Listener, max_connections: usize) {
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
    let wanted = (max_connections + SPARE_DESCRIPTORS as usize).min(DESCRIPTORS_GROWN);
    let target = i32::try_from((wanted as u64).min(soft.saturating_sub(1))).unwrap_or(0);
    match fcntl(listener, FcntlArg::F_DUPFD_CLOEXEC(target)) {
        Ok(descriptor) => {
            let _ = nix::unistd::close(descriptor);
        }
        // An optimisation: the server works without it.
        Err(error) => log::debug!("growing the descriptor table to {target}: {error}"),
    }
}

pub(crate) fn poller() -> Result<(Poll, Waker), Error> {
    let poll = Poll::new().map_err(|error| Error::os("making a poller", error))?;
    let waker = Waker::new(poll.registry(), WAKER).map_err(|error| Error::os("making a poller's waker", error))?;
    Ok((poll, waker))
}

pub(crate) fn pollers(count: usize) -> Result<(Vec<Waker>, Vec<Poll>), Error> {
    let mut wakers = Vec::new();
    let mut polls = Vec::new();
    for _ in 0..count {
        let (poll, waker) = poller()?;
        wakers.push(waker);
        polls.push(poll);
    }
    Ok((wakers, polls))
}

/// The threads while they are started: each waits at its gate, so that no callback runs unless all are there.
pub(crate) struct Crew<H: Handler> {
    handler: Arc<H>,
    shared: Arc<Shared>,
    gates: Vec<SyncSender<()>>,
}

impl<H: Handler> Crew<H> {
    pub(crate) fn new(handler: H, shared: Arc<Shared>) -> Self {
        Crew { handler: Arc::new(handler), shared, gates: Vec::new() }
    }

    pub(crate) fn handler(&self) -> &H {
        &self.handler
    }

    /// All of them, or none.
    pub(crate) fn hire(&mut self, polls: Vec<Poll>, main_poll: Option<Poll>, listener: Listener) -> Result<(), Error> {
        // A new thread inherits the mask: none of ours ever takes a signal of the host.
        let before = SigSet::all()
            .thread_swap_mask(SigmaskHow::SIG_SETMASK)
            .map_err(|error| Error::os("blocking signals for new threads", error.into()))?;
        let result = self.hire_blocked(polls, main_poll, listener);
        // It fails for no mask that the system itself gave.
        let _ = before.thread_set_mask();
        if result.is_err() {
            self.send_away();
        }
        result
    }

    fn hire_blocked(&mut self, polls: Vec<Poll>, main_poll: Option<Poll>, listener: Listener) -> Result<(), Error> {
        let pool = self.hire_workers()?;
        let mut listener = Some(listener);
        let registering = |error| Error::os("registering the listening socket with the poller", error);
        if let Some(poll) = main_poll
            && let Some(listener) = listener.take()
        {
            let main = MainReactor::new(Arc::clone(&self.shared), poll, listener).map_err(registering)?;
            self.spawn("reactor-main".to_owned(), move |_handler| main.run())?;
        }
        for (index, poll) in polls.into_iter().enumerate() {
            let (shared, pool) = (Arc::clone(&self.shared), pool.clone());
            let event_loop =
                EventLoop::new(index, Arc::clone(&self.handler), shared, pool.clone(), poll, listener.take());
            let mut event_loop = event_loop.map_err(registering)?;
            let end = LoopEnd { index, shared: Arc::clone(&self.shared), pool };
            self.spawn(format!("reactor-{index}"), move |_handler| {
                event_loop.run();
                drop(end);
            })?;
        }
        Ok(())
    }

    fn hire_workers(&mut self) -> Result<Option<Arc<Pool<H::Data>>>, Error> {
        let count = self.shared.workers.len();
        if count == 0 {
            return Ok(None);
        }
        let pool = Arc::new(Pool::new(Arc::clone(&self.shared)));
        let builder = threadpool::Builder::new().num_threads(count).thread_name("reactor-worker".to_owned());
        let builder = builder.thread_stack_size(STACK_BYTES);
        // threadpool panics where a thread cannot be had.
        let threads = catch_unwind(AssertUnwindSafe(|| builder.build()))
            .map_err(|_| Error::new(ErrorKind::OutOfResources, format!("starting {count} worker threads failed")))?;
        for seat in 0..count {
            let pool = Arc::clone(&pool);
            let (gate, member) = self.admit(true);
            threads.execute(move || member.work(&gate, move |handler| workers::work(handler, &*pool, seat)));
        }
        // Dropping it lets the threads go once their one job is done.
        Ok(Some(pool))
    }

    fn spawn(&mut self, name: String, work: impl FnOnce(&H) + Send + 'static) -> Result<(), Error> {
        let (gate, member) = self.admit(false);
        let builder = thread::Builder::new().name(name.clone()).stack_size(STACK_BYTES);
        let started = builder.spawn(move || member.work(&gate, work));
        match started {
            Ok(_detached) => Ok(()),
            Err(error) => Err(Error::os(format!("starting the thread {name}"), error)),
        }
    }

    fn admit(&mut self, is_worker: bool) -> (Receiver<()>, Member<H>) {
        let (open, gate) = sync_channel(1);
        self.gates.push(open);
        (gate, Member { handler: Arc::clone(&self.handler), is_worker, presence: PresenceMark::new(&self.shared) })
    }

    /// Waits until they have gone with all that they were given: the listening socket, too.
    fn send_away(&mut self) {
        self.gates.clear();
        self.shared.presence.wait_for_all();
    }

    /// From here on callbacks run. A crew that is dropped before sends its threads away.
    pub(crate) fn open_gates(self) {
        let Crew { handler, shared: _, gates } = self;
        drop(handler);
        for gate in gates {
            // There is room for one, and the thread waits for it.
            let _ = gate.send(());
        }
    }
}

/// Says that a loop has ended, however it did: nobody waits for it, and the last sends the workers home.
struct LoopEnd<D: Clone> {
    index: usize,
    shared: Arc<Shared>,
    pool: Option<Arc<Pool<D>>>,
}

impl<D: Clone> Drop for LoopEnd<D> {
    fn drop(&mut self) {
        self.shared.loops[self.index].finish_cutting();
        if self.shared.loops_left.fetch_sub(1, Ordering::SeqCst) == 1
            && let Some(pool) = &self.pool
        {
            pool.close();
        }
    }
}

/// One thread's share of the server. The handler goes first, then the mark.
struct Member<H: Handler> {
    handler: Arc<H>,
    is_worker: bool,
    presence: PresenceMark,
}

impl<H: Handler> Member<H> {
    fn work(self, gate: &Receiver<()>, work: impl FnOnce(&H)) {
        if gate.recv().is_ok() {
            scene::enter_server(self.presence.server, self.is_worker);
            work(&self.handler);
            self.let_go();
        }
    }

    /// The last to let go drops the handler, which may take longer than a stop has time, as any callback may.
    fn let_go(self) {
        let Member { handler, is_worker: _, presence } = self;
        if let (Some(handler), Some(shared)) = (Arc::into_inner(handler), &presence.shared) {
            shared.farewell.step();
            drop(handler);
            shared.farewell.step();
        }
    }
}

/// Says that a thread is gone, however it went, and has let go of all that the server owns: descriptors too.
struct PresenceMark {
    shared: Option<Arc<Shared>>,
    presence: Arc<Presence>,
    server: usize,
}

impl PresenceMark {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.presence.enter();
        PresenceMark {
            shared: Some(Arc::clone(shared)),
            presence: Arc::clone(&shared.presence),
            server: Arc::as_ptr(shared).addr(),
        }
    }
}

impl Drop for PresenceMark {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take()
            && thread::panicking()
        {
            log::error!("a thread of the server on {} panicked; the server stops", shared.local_address);
            shared.request_stop(0);
        }
        self.presence.leave();
    }
}
