//! Owns when to accept: as the poller says, in portions, and with a pause when descriptors have run out. Knows nothing
//! of what becomes of a connection.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use mio::{Registry, Token};
use socket2::Socket;

use crate::config::{ACCEPT_BUDGET, ACCEPT_RETRY_MS};
use crate::handler::Peer;
use crate::listener::{Accepted, Listener};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: Listener,
    /// The queue may hold connections.
    ready: bool,
    /// While descriptors are short: when to try again. The poller is edge-triggered and will not repeat itself.
    retry_ms: Option<u64>,
}

impl Acceptor {
    pub(crate) fn new(mut listener: Listener, registry: &Registry, token: Token) -> io::Result<Self> {
        listener.register(registry, token)?;
        Ok(Acceptor { listener, ready: false, retry_ms: None })
    }

    /// The poller says that the queue has something.
    pub(crate) fn wake(&mut self) {
        self.ready = true;
    }

    /// Whether [`accept`](Acceptor::accept) would find something to do.
    pub(crate) fn is_ready(&self, now_ms: u64) -> bool {
        self.ready && self.retry_ms.is_none_or(|retry_ms| retry_ms <= now_ms)
    }

    /// When to call [`accept`](Acceptor::accept) again without an event.
    pub(crate) fn retry_ms(&self) -> Option<u64> {
        self.retry_ms.filter(|_| self.ready)
    }

    /// A descriptor was given back: no need to wait for the time.
    pub(crate) fn descriptor_freed(&mut self) {
        self.retry_ms = self.retry_ms.map(|_| 0);
    }

    /// The next connection, until a portion is through or there is none.
    pub(crate) fn accept(&mut self, now_ms: u64, errors: &AtomicU64) -> Option<(Socket, Peer)> {
        for _ in 0..ACCEPT_BUDGET {
            match self.listener.accept() {
                Accepted::Connection(socket, peer) => {
                    self.retry_ms = None;
                    return Some((socket, peer));
                }
                Accepted::Lost(error) => {
                    errors.fetch_add(1, Ordering::Relaxed);
                    log::debug!("a connection was lost before it was accepted: {error}");
                }
                Accepted::Empty => {
                    self.ready = false;
                    self.retry_ms = None;
                    return None;
                }
                Accepted::Exhausted(error) => {
                    errors.fetch_add(1, Ordering::Relaxed);
                    if self.retry_ms.is_none() {
                        log::warn!(
                            "accepting on {} pauses, and is tried again each {ACCEPT_RETRY_MS} ms: {error}",
                            self.listener.local_address()
                        );
                    }
                    self.retry_ms = Some(now_ms + ACCEPT_RETRY_MS);
                    return None;
                }
            }
        }
        None
    }
}
