//! Owns what the harness's handlers know of a connection: its data, and what its last call said. Knows neither handler.

use std::time::{Duration, Instant};

use reactor_core::{CloseReason, ConnId};

/// A connection's data: whose they are, and since when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened {
    pub(crate) conn: ConnId,
    at: Instant,
}

/// The last callback of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed {
    pub(crate) conn: ConnId,
    pub(crate) reason: CloseReason,
    pub(crate) os_error: i32,
    /// Since its first.
    pub(crate) age: Duration,
}

impl Opened {
    pub(crate) fn now(conn: ConnId) -> Self {
        Opened { conn, at: Instant::now() }
    }

    /// Data go with the connection that they were made for.
    #[track_caller]
    pub(crate) fn assert_is_of(self, conn: ConnId) {
        assert_eq!(self.conn, conn, "the data is another connection's");
    }

    #[track_caller]
    pub(crate) fn closed(self, conn: ConnId, reason: CloseReason, os_error: i32) -> Closed {
        self.assert_is_of(conn);
        Closed { conn, reason, os_error, age: self.at.elapsed() }
    }
}
