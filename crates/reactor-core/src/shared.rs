//! Owns what all threads of one server see: the configuration, the loops' mailboxes and counters, the wish to stop,
//! and who is still there. Knows nothing of how a loop or a worker does its work.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::Socket;

use crate::budget::{Budget, Change};
use crate::config::{HAND_OVER_BYTES, MAILED_BYTES};
use crate::conn_id::ConnId;
use crate::connection::{Answer, Rules};
use crate::handler::Peer;
use crate::mailbox::Mailbox;
use crate::ordering::Ending;
use crate::push::Push;
use crate::slots::Slots;
use crate::stats::LoopStats;
use crate::stop::StopSignal;

/// What other threads ask of a loop.
#[derive(Debug)]
pub(crate) enum Message {
    /// A connection that the main reactor accepted.
    Adopt(Socket, Peer),
    /// What a worker has finished.
    Answer(ConnId, Answer),
    /// As above; so many bytes that were posted beside the message are the replies.
    Copied(ConnId, Answer, usize),
    /// What whoever a reply was deferred to has finished.
    Late(ConnId, Answer),
    /// Bytes that no request asked for.
    Push(ConnId, Arc<Push>),
    /// As above, for all connections but one.
    Broadcast(Arc<Push>, ConnId),
    /// Answer what was admitted, flush, close.
    Close(ConnId),
    /// Cut it now.
    Abort(ConnId),
    /// A worker was about to begin a request and output stood at the high mark.
    Stalled(ConnId),
    /// The handler may have room for requests that it had none for.
    Resume,
    /// No worker is in a request of this ended connection any more.
    Left(ConnId),
}

/// What any thread may reach of one loop.
#[derive(Debug)]
pub(crate) struct LoopShared {
    pub(crate) mailbox: Mailbox<Message>,
    pub(crate) slots: Slots,
    pub(crate) stats: LoopStats,
    pub(crate) progress: Progress,
    /// Connections given to it, and not ended: what the main reactor goes by.
    pub(crate) open: AtomicU64,
    /// The memory of the answers that workers have posted and the loop has not taken.
    mailed_bytes: AtomicUsize,
    /// It takes no mail any more.
    gone: AtomicBool,
    /// The deadline of the stop has passed, and its counters say what was cut.
    pub(crate) cut: AtomicBool,
}

impl LoopShared {
    pub(crate) fn new(mailbox: Mailbox<Message>) -> Self {
        LoopShared {
            mailbox,
            slots: Slots::new(),
            stats: LoopStats::default(),
            progress: Progress::default(),
            open: AtomicU64::new(0),
            mailed_bytes: AtomicUsize::new(0),
            gone: AtomicBool::new(false),
            cut: AtomicBool::new(false),
        }
    }

    /// A worker posts an answer. Gives back the buffer where its bytes were copied.
    pub(crate) fn post_answer(&self, conn: ConnId, mut answer: Answer) -> Option<Vec<u8>> {
        let len = answer.bytes.len();
        if len >= HAND_OVER_BYTES {
            self.mailed_bytes.fetch_add(answer.bytes.capacity(), Ordering::Relaxed);
            self.mailbox.post(Message::Answer(conn, answer));
            return None;
        }
        let mut bytes = mem::take(&mut answer.bytes);
        self.mailed_bytes.fetch_add(len, Ordering::Relaxed);
        self.mailbox.post_with(Message::Copied(conn, answer, len), &bytes);
        bytes.clear();
        Some(bytes)
    }

    /// The loop has taken answers of so many bytes together. Says whether workers may have waited for that.
    pub(crate) fn took_answers(&self, bytes: usize) -> bool {
        bytes > 0 && self.mailed_bytes.fetch_sub(bytes, Ordering::Relaxed) >= MAILED_BYTES
    }

    /// Whether it has so much to take that workers had better wait. Not once it has gone.
    pub(crate) fn is_full(&self) -> bool {
        self.mailed_bytes.load(Ordering::Relaxed) >= MAILED_BYTES && !self.gone.load(Ordering::Relaxed)
    }

    /// The loop goes, and drops what is in its mailbox.
    pub(crate) fn close_mailbox(&self) {
        self.mailbox.close();
        self.gone.store(true, Ordering::Relaxed);
    }

    /// Counts requests that were answered, the last of them with `ending`. Its own thread alone.
    pub(crate) fn count_answers(&self, count: u32, ending: Ending, stop: &StopSignal) {
        let answered = match ending {
            Ending::Continue | Ending::Close => u64::from(count),
            Ending::Failed | Ending::TooLarge => u64::from(count.saturating_sub(1)),
        };
        if ending == Ending::Failed {
            self.stats.callback_failures.add(1);
        }
        self.stats.replies.add(answered);
        if stop.deadline_ms().is_some() {
            self.stats.drain.requests_completed.add(answered);
        }
    }

    /// Its counters say all that there is to say of the stop.
    pub(crate) fn finish_cutting(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }
}

/// How often a thread entered or left a callback: odd while it is in one.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Progress(AtomicU64);

impl Progress {
    /// Its own thread enters or leaves a callback.
    pub(crate) fn step(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether this number of steps means that the thread is in a callback.
pub(crate) fn in_callback(steps: u64) -> bool {
    steps % 2 == 1
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) rules: Rules,
    pub(crate) local_address: String,
    pub(crate) loops: Vec<LoopShared>,
    /// The mailbox of the main reactor, in MULTI.
    pub(crate) main: Option<Mailbox<Message>>,
    pub(crate) workers: Vec<Progress>,
    /// Whichever thread is the last to let go of the handler, and so runs its drop.
    pub(crate) farewell: Progress,
    pub(crate) budget: Budget,
    /// Accepts that failed, and connections that the main reactor refused: those of no loop in particular.
    pub(crate) accept_errors: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) stop: StopSignal,
    pub(crate) presence: Arc<Presence>,
    /// Loops that may still hand work to the workers.
    pub(crate) loops_left: AtomicU64,
}

impl Shared {
    /// Asks all loops to stop. Async-signal-safe.
    pub(crate) fn request_stop(&self, drain_timeout_ms: u32) {
        self.stop.request(drain_timeout_ms);
        for reactor in &self.loops {
            reactor.mailbox.wake();
        }
        if let Some(main) = &self.main {
            main.wake();
        }
    }

    /// Somebody who held `before` bytes holds `after` now; loops that waited for memory go on where there is enough.
    pub(crate) fn change_memory(&self, before: usize, after: usize) {
        match self.budget.change(before, after) {
            Change::None => {}
            Change::Eased => self.loops.iter().for_each(|reactor| reactor.mailbox.wake()),
        }
    }

    /// Whether the connection has not ended.
    pub(crate) fn is_open(&self, conn: ConnId) -> bool {
        self.loop_of(conn).is_some_and(|reactor| reactor.slots.is_open(conn))
    }

    /// The loop that owns this connection, where there is one of that number.
    pub(crate) fn loop_of(&self, conn: ConnId) -> Option<&LoopShared> {
        self.loops.get(conn.reactor())
    }

    /// Posts to the loop that owns the connection.
    pub(crate) fn post(&self, conn: ConnId, message: Message) {
        if let Some(reactor) = self.loop_of(conn) {
            reactor.mailbox.post(message);
        }
    }

    /// Whether a loop has so much to take that workers had better wait.
    pub(crate) fn is_full(&self) -> bool {
        self.loops.iter().any(LoopShared::is_full)
    }

    /// Connections given to loops and not ended.
    pub(crate) fn connections(&self) -> u64 {
        self.loops.iter().map(|reactor| reactor.open.load(Ordering::Relaxed)).sum()
    }

    /// The steps of all threads that run callbacks, loops first, and of the handler's drop.
    pub(crate) fn steps(&self) -> Vec<u64> {
        let loops = self.loops.iter().map(|reactor| &reactor.progress);
        loops.chain(&self.workers).chain([&self.farewell]).map(Progress::get).collect()
    }
}

/// How many threads of the server are still there.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    threads: Mutex<usize>,
    changed: Condvar,
}

impl Presence {
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more thread will be there.
    pub(crate) fn enter(&self) {
        *self.lock() += 1;
    }

    /// A thread is through: it runs no code of the user any more.
    pub(crate) fn leave(&self) {
        let mut threads = self.lock();
        *threads -= 1;
        self.changed.notify_all();
    }

    pub(crate) fn is_over(&self) -> bool {
        *self.lock() == 0
    }

    /// Waits until the last has left.
    pub(crate) fn wait_for_all(&self) {
        drop(self.changed.wait_while(self.lock(), |threads| *threads > 0));
    }

    /// Waits until the last has left, or for so long; says whether the last has left.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, |threads| *threads > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
    }
}
