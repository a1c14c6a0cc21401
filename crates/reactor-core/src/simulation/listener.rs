//! Stands in for the listening socket: a queue of clients that have connected, and descriptors that run out.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use crate::address::Address;
use crate::config::Config;
use crate::error::Error;
use crate::handler::Peer;
use crate::simulation::net::{self, Socket};
use crate::simulation::poller::{Registry, Token};
use crate::simulation::story::tell;

const EMFILE: i32 = 24;
const ECONNABORTED: i32 = 103;

/// What waits to be accepted.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    pub(crate) clients: VecDeque<usize>,
    /// Those of them that have given up meanwhile.
    pub(crate) lost: usize,
    /// No descriptor is left.
    pub(crate) exhausted: bool,
    /// Something has arrived since the last event.
    pub(crate) edge: bool,
    pub(crate) open: bool,
}

thread_local! {
    static BACKLOG: RefCell<Backlog> = RefCell::default();
}

/// Looks at what waits to be accepted, and changes it.
pub(crate) fn backlog<T>(look: impl FnOnce(&mut Backlog) -> T) -> T {
    BACKLOG.with_borrow_mut(look)
}

/// The address of a client; its port tells which it is.
pub(crate) fn address_of(client: usize) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 1000 + client as u16).into()
}

#[derive(Debug)]
pub(crate) struct Listener;

#[derive(Debug)]
pub(crate) enum Accepted {
    Connection(Socket, Peer),
    Lost(io::Error),
    Empty,
    Exhausted(io::Error),
}

impl Listener {
    #[expect(clippy::unnecessary_wraps, reason = "as the real one")]
    pub(crate) fn bind(_address: &Address, _config: &Config) -> Result<Self, Error> {
        backlog(|backlog| backlog.open = true);
        Ok(Listener)
    }

    pub(crate) fn local_address(&self) -> &str {
        "the simulation"
    }

    #[expect(clippy::unnecessary_wraps, reason = "as the real one")]
    pub(crate) fn register(&mut self, _registry: &Registry, _token: Token) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn accept(&self) -> Accepted {
        backlog(|backlog| {
            if backlog.exhausted {
                tell(|| "accepting: EMFILE".to_owned());
                return Accepted::Exhausted(io::Error::from_raw_os_error(EMFILE));
            }
            if backlog.lost > 0 {
                backlog.lost -= 1;
                return Accepted::Lost(io::Error::from_raw_os_error(ECONNABORTED));
            }
            let Some(client) = backlog.clients.pop_front() else { return Accepted::Empty };
            tell(|| format!("the server accepts client {client}"));
            net::with(|net| net.wires[client].accepted = true);
            Accepted::Connection(Socket::of(client), Peer(Some(address_of(client))))
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        backlog(|backlog| backlog.open = false);
    }
}
