//! Owns the main reactor of MULTI: it accepts, and gives each connection to the reactor with the fewest. It runs no
//! callback. Knows nothing of what a connection does.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::{Events, Poll};

use crate::config::{ACCEPT_BUDGET, EVENTS_PER_POLL};
use crate::event_loop::acceptor::Acceptor;
use crate::event_loop::{LISTENER, poll_for};
use crate::listener::Listener;
use crate::shared::{Message, Shared};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct MainReactor {
    shared: Arc<Shared>,
    poll: Poll,
    acceptor: Acceptor,
    /// The reactor that got the last connection.
    last: usize,
}

impl MainReactor {
    pub(crate) fn new(shared: Arc<Shared>, poll: Poll, listener: Listener) -> io::Result<Self> {
        let acceptor = Acceptor::new(listener, poll.registry(), LISTENER)?;
        Ok(MainReactor { shared, poll, acceptor, last: 0 })
    }

    /// Accepts until a stop is asked for; the listening socket is closed on return.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_PER_POLL);
        while self.shared.stop.deadline_ms().is_none() {
            let now_ms = self.shared.stop.now_ms();
            let timeout = if self.acceptor.is_ready(now_ms) {
                Some(Duration::ZERO)
            } else {
                self.acceptor.retry_ms().map(|retry_ms| Duration::from_millis(retry_ms.saturating_sub(now_ms)))
            };
            let shared = &self.shared;
            let Some(mailbox) = &shared.main else { return };
            let may_sleep = mailbox.sleep(|| shared.stop.deadline_ms().is_some());
            poll_for(&mut self.poll, &mut events, if may_sleep { timeout } else { Some(Duration::ZERO) });
            mailbox.awake();
            if events.iter().any(|event| event.token() == LISTENER) {
                self.acceptor.wake();
            }
            self.accept();
        }
    }

    fn accept(&mut self) {
        let now_ms = self.shared.stop.now_ms();
        for _ in 0..ACCEPT_BUDGET {
            if !self.acceptor.is_ready(now_ms) {
                return;
            }
            let Some((socket, peer)) = self.acceptor.accept(now_ms, &self.shared.accept_errors) else { return };
            if self.shared.connections() >= self.shared.rules.config.max_connections as u64 {
                log::debug!("a connection from {peer} is dropped: max_connections are open");
                self.shared.refused.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let chosen = self.choose();
            self.last = chosen;
            self.shared.loops[chosen].open.fetch_add(1, Ordering::Relaxed);
            self.shared.loops[chosen].mailbox.post(Message::Adopt(socket, peer));
        }
    }

    /// The reactor with the fewest connections; of several the one that comes next after the last.
    fn choose(&self) -> usize {
        let count = self.shared.loops.len();
        let turn = (1..=count).map(|step| (self.last + step) % count);
        turn.min_by_key(|reactor| self.shared.loops[*reactor].open.load(Ordering::Relaxed)).unwrap_or(0)
    }
}
