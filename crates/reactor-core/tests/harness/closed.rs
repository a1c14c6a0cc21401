//! Owns what the last call of a connection said. Knows neither handler that tells of it.

use std::time::Duration;

use reactor_core::{CloseReason, ConnId};

/// The last callback of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed {
    pub(crate) conn: ConnId,
    pub(crate) reason: CloseReason,
    pub(crate) os_error: i32,
    /// Since its first.
    pub(crate) age: Duration,
}
