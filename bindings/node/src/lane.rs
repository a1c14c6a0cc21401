//! Owns a lane: the way of requests into one JavaScript thread and of replies back. A queue, the promises that are open,
//! and a doorbell that is rung once however much waits. A lane that is full says so, and says when it no longer is;
//! nothing is dropped. Knows nothing of what JavaScript does.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::Status;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use reactor_core::{Batch, Deferred};
use slab::Slab;

use crate::config::{EASED_BYTES, EASED_REQUESTS, FULL_BYTES, FULL_REQUESTS, LANE_NEWS, RING_REQUESTS};
use crate::hub::Home;
use crate::packing::{Act, Kind, Outbox, PackedReply, replies};

/// Rings in the lane's JavaScript thread. Weak: it does not keep the process alive.
pub(crate) type Bell = ThreadsafeFunction<(), (), (), Status, false, true, 1>;

/// See the head of this file.
#[derive(Default)]
pub(crate) struct Lane {
    state: Mutex<State>,
    /// The bell was rung, and JavaScript has not yet found the lane empty: it comes again by itself.
    rung: AtomicBool,
    /// Requests wait, and the bell is rung for them when the turn of the reactor that brought them is over.
    unrung: AtomicBool,
    /// From FULL_REQUESTS or FULL_BYTES that wait down to EASED_REQUESTS and EASED_BYTES. Changed under the lock.
    full: AtomicBool,
    /// Connections at home here.
    pub(crate) connections: AtomicUsize,
    /// Requests that are not answered.
    pub(crate) in_flight: AtomicUsize,
}

#[derive(Default)]
struct State {
    outbox: Outbox,
    open: Slab<(Deferred, Arc<Home>)>,
    bell: Option<Bell>,
    /// Which attachment this is: the cleanup of a former one must not end its successor.
    attachment: u64,
    attached: bool,
    /// The most requests that ever waited at once.
    most_requests: usize,
}

/// Whether a lane that was full no longer is, so that who was refused may come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Room {
    AsBefore,
    Again,
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A JavaScript thread serves the lane from here on; gives the number of this attachment.
    pub(crate) fn attach(&self, bell: Bell) -> u64 {
        let mut state = self.lock();
        state.bell = Some(bell);
        state.attachment += 1;
        state.attached = true;
        let attachment = state.attachment;
        drop(state);
        // Whatever rang while nobody was there: once more, for what waits and for what comes between.
        self.rung.store(false, Ordering::SeqCst);
        self.ring();
        attachment
    }

    /// The JavaScript thread of this attachment has gone: what it had in flight fails. What it has not heard of
    /// connections waits for its successor.
    pub(crate) fn detach(&self, attachment: u64) -> Room {
        let mut state = self.lock();
        if state.attachment != attachment || !state.attached {
            return Room::AsBefore;
        }
        state.attached = false;
        let bell = state.bell.take();
        let open = std::mem::take(&mut state.open);
        state.outbox.drop_requests();
        self.in_flight.store(0, Ordering::Relaxed);
        let room = self.ease(&state);
        drop(state);
        // Both talk to others, so not under the lock: a promise that is dropped fails its request.
        drop(open);
        drop(bell);
        room
    }

    /// Whether it takes no request now.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Whether so much news waits that no further connection should make any.
    pub(crate) fn is_full_of_news(&self) -> bool {
        self.lock().outbox.news() >= LANE_NEWS
    }

    /// The most requests that ever waited at once.
    pub(crate) fn most_requests(&self) -> usize {
        self.lock().most_requests
    }

    fn ease(&self, state: &State) -> Room {
        let outbox = &state.outbox;
        let eased = self.is_full() && outbox.requests() <= EASED_REQUESTS && outbox.len() <= EASED_BYTES;
        if eased {
            self.full.store(false, Ordering::Relaxed);
        }
        if eased { Room::Again } else { Room::AsBefore }
    }

    /// Queues a request; its promise is kept by a reply with its key. Rings when the turn is over, or where many wait.
    pub(crate) fn request(&self, conn: u64, payload: &[u8], deferred: Deferred, home: Arc<Home>) {
        let mut state = self.lock();
        let key = state.open.insert((deferred, home));
        state.outbox.push(Kind::Request, key as u32, conn, payload);
        let (requests, bytes) = (state.outbox.requests(), state.outbox.len());
        state.most_requests = state.most_requests.max(requests);
        if requests >= FULL_REQUESTS || bytes >= FULL_BYTES {
            self.full.store(true, Ordering::Relaxed);
        }
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        drop(state);
        if requests >= RING_REQUESTS {
            self.ring();
        } else {
            self.unrung.store(true, Ordering::Relaxed);
        }
    }

    /// The turn of a reactor is over: rings once for all it brought. For each by itself JavaScript would wake up before
    /// the second was there.
    pub(crate) fn turn_over(&self) {
        if self.unrung.load(Ordering::Relaxed) && self.unrung.swap(false, Ordering::Relaxed) {
            self.ring();
        }
    }

    /// Queues news of a connection, also while nobody serves the lane: LANE_NEWS bounds what waits for who comes next.
    pub(crate) fn tell(&self, kind: Kind, key: u32, conn: u64, data: &[u8]) {
        self.lock().outbox.push(kind, key, conn, data);
        self.ring();
    }

    fn ring(&self) {
        if self.rung.swap(true, Ordering::SeqCst) {
            return;
        }
        let state = self.lock();
        if let Some(bell) = &state.bell {
            // It fails where the environment is closing: its cleanup detaches the lane.
            let _ = bell.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    /// Takes replies, and copies the next requests to `into`: as [`Outbox::take`]. Until it says that there are none
    /// JavaScript is to come again, for the bell is not rung.
    pub(crate) fn exchange(&self, packed: &[u8], into: &mut [u8]) -> (Result<usize, usize>, Room) {
        let mut state = self.lock();
        let answered = self.close(&mut state, replies(packed));
        let taken = state.outbox.take(into);
        if taken == Ok(0) {
            // Under the lock: who queues after it rings again.
            self.rung.store(false, Ordering::SeqCst);
        }
        let room = self.ease(&state);
        drop(state);
        keep(answered);
        (taken, room)
    }

    /// Takes replies, and no more.
    pub(crate) fn give<'a>(&self, given: impl Iterator<Item = PackedReply<'a>>) {
        let answered = self.close(&mut self.lock(), given);
        keep(answered);
    }

    /// The open promises that `given` answers, which are open no longer.
    fn close<'a>(&self, state: &mut State, given: impl Iterator<Item = PackedReply<'a>>) -> Vec<Answered<'a>> {
        let open = &mut state.open;
        let mut answered = Vec::new();
        for reply in given {
            if let Some((deferred, home)) = open.try_remove(reply.key as usize) {
                home.opened.store(true, Ordering::Relaxed);
                answered.push((deferred, reply));
            }
        }
        self.in_flight.fetch_sub(answered.len(), Ordering::Relaxed);
        answered
    }
}

type Answered<'a> = (Deferred, PackedReply<'a>);

/// Keeps the promises. Talks to the reactors, so not under the lock of a lane.
fn keep(answered: Vec<Answered<'_>>) {
    let mut batch = Batch::new();
    for (deferred, reply) in answered {
        let conn = deferred.conn();
        let kept = match reply.act {
            Act::Send => batch.complete(deferred, reply.bytes),
            Act::Skip => batch.skip(deferred),
            Act::Fail => batch.fail(deferred),
            Act::SendAndClose => batch.complete_and_close(deferred, reply.bytes),
            Act::SkipAndClose => batch.skip_and_close(deferred),
        };
        if let Err(error) = kept {
            // The connection has ended, or ends for it: 'connectionClose' tells why.
            log::debug!("connection {conn}: {error}");
        }
    }
}
