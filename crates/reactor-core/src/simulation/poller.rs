//! Stands in for the part of `mio` that the loops use: polling is when the simulated world has its turn. Knows nothing of
//! what happens there.

use std::cell::Cell;
use std::io;
use std::ops::BitOr;
use std::os::fd::RawFd;
use std::time::Duration;

use crate::simulation::driver;
use crate::simulation::net::{self, Readiness};

thread_local! {
    /// The loop's waker was rung since the last poll.
    static RUNG: Cell<bool> = const { Cell::new(false) };
}

/// Whether the waker was rung; it is quiet again from here on.
pub(crate) fn take_rung() -> bool {
    RUNG.replace(false)
}

pub(crate) fn is_rung() -> bool {
    RUNG.get()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token(pub(crate) usize);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Interest;

impl Interest {
    pub(crate) const READABLE: Interest = Interest;
    pub(crate) const WRITABLE: Interest = Interest;
    pub(crate) const PRIORITY: Interest = Interest;
}

impl BitOr for Interest {
    type Output = Interest;

    fn bitor(self, _other: Interest) -> Interest {
        Interest
    }
}

#[derive(Debug)]
pub(crate) struct Registry;

impl Registry {
    pub(crate) fn register(&self, source: &mut unix::SourceFd<'_>, token: Token, _: Interest) -> io::Result<()> {
        net::register(*source.0, token.0)
    }
}

#[derive(Debug)]
pub(crate) struct Poll;

impl Poll {
    pub(crate) fn registry(&self) -> &Registry {
        &Registry
    }

    pub(crate) fn poll(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.0.clear();
        driver::poll(&mut events.0, timeout.map(|timeout| timeout.as_millis() as u64))
    }
}

#[derive(Debug)]
pub(crate) struct Waker;

impl Waker {
    pub(crate) fn wake(&self) -> io::Result<()> {
        RUNG.set(true);
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct Events(Vec<event::Event>);

impl Events {
    pub(crate) fn with_capacity(capacity: usize) -> Events {
        Events(Vec::with_capacity(capacity.min(16)))
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, event::Event> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Events {
    type Item = &'a event::Event;
    type IntoIter = std::slice::Iter<'a, event::Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

pub(crate) mod event {
    use super::{Readiness, Token};

    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Event(pub(crate) Readiness);

    impl Event {
        pub(crate) fn token(&self) -> Token {
            Token(self.0.token)
        }

        pub(crate) fn is_readable(&self) -> bool {
            self.0.readable
        }

        pub(crate) fn is_writable(&self) -> bool {
            self.0.writable
        }

        pub(crate) fn is_read_closed(&self) -> bool {
            self.0.read_closed
        }

        pub(crate) fn is_error(&self) -> bool {
            self.0.error
        }

        pub(crate) fn is_priority(&self) -> bool {
            self.0.priority
        }
    }
}

pub(crate) mod unix {
    use super::RawFd;

    #[derive(Debug)]
    pub(crate) struct SourceFd<'a>(pub(crate) &'a RawFd);
}
