//! Owns `reactor_drain_report` as C sees it, and its map from the core's. Knows nothing of how it is counted.

use std::mem::offset_of;

use reactor_core::DrainReport;

use crate::ffi::sized::StructSize;

/// What became of connections and requests once a stop was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct reactor_drain_report {
    /// The caller sets it to sizeof(reactor_drain_report).
    pub struct_size: usize,
    /// Connections of which everything was answered and flushed.
    pub connections_drained: u64,
    /// Connections cut at the deadline, or before it with something unanswered or unsent.
    pub connections_aborted: u64,
    /// Requests answered after the stop was asked for, counted as the replies of reactor_stats are: their replies may be
    /// lost with a connection that is cut.
    pub requests_completed: u64,
    /// Requests admitted, and not answered by the deadline.
    pub requests_abandoned: u64,
    /// Output that the operating system had not taken by the deadline, in bytes. Replies that waited for an earlier one
    /// are not in it.
    pub bytes_unsent: u64,
    /// Callbacks that had not returned by the deadline; 0 unless REACTOR_STATUS_TIMED_OUT.
    pub callbacks_running: u64,
}

const _: () = assert!(offset_of!(reactor_drain_report, struct_size) == 0);

impl StructSize for reactor_drain_report {
    const LEAST: usize = offset_of!(reactor_drain_report, callbacks_running) + size_of::<u64>();

    fn set_struct_size(&mut self, bytes: usize) {
        self.struct_size = bytes;
    }
}

impl From<DrainReport> for reactor_drain_report {
    fn from(report: DrainReport) -> Self {
        reactor_drain_report {
            struct_size: size_of::<reactor_drain_report>(),
            connections_drained: report.connections_drained,
            connections_aborted: report.connections_aborted,
            requests_completed: report.requests_completed,
            requests_abandoned: report.requests_abandoned,
            bytes_unsent: report.bytes_unsent,
            callbacks_running: report.callbacks_running,
        }
    }
}
