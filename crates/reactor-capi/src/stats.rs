//! Owns `reactor_stats` as C sees it, and its map from the core's. Knows nothing of how it is counted.

use std::mem::offset_of;

use reactor_core::{Error, ErrorKind, Stats};

use crate::boundary;
use crate::ffi::pointer;
use crate::ffi::sized::{self, StructSize};
use crate::reactor::reactor;
use crate::status::reactor_status;

/// As an index of a reactor thread: all of them together.
pub const REACTOR_ALL: u32 = u32::MAX;

/// What was counted since the start; what says "now" goes up and down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct reactor_stats {
    /// The caller sets it to sizeof(reactor_stats).
    pub struct_size: usize,
    /// Reactor threads that own connections; 1 where one is asked for.
    pub reactors: u64,
    /// Connections open now.
    pub connections_open: u64,
    /// Connections accepted, those that were then refused included.
    pub connections_accepted: u64,
    /// Connections refused by on_open or by max_connections.
    pub connections_refused: u64,
    /// Connections ended by a timeout.
    pub connections_timed_out: u64,
    /// Connections that the peer reset, or of which a read or write failed.
    pub connections_reset: u64,
    /// Accepts that failed: no descriptor, no memory, aborted in the queue. Counted for REACTOR_ALL alone.
    pub accept_errors: u64,
    /// Requests handed to the process callback or, with workers, to their queue.
    pub requests: u64,
    /// Requests answered, also by an empty reply or none. Counted once the reply is finished: it may still wait for an
    /// earlier one, or be lost with its connection.
    pub replies: u64,
    /// Requests on which the process callback returned non-zero, and deferred replies that failed.
    pub callback_failures: u64,
    /// Requests admitted and not answered, now.
    pub requests_in_flight: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Buffered input, requests in flight and unsent output, now, in bytes, as memory_limit_bytes counts them.
    pub memory_bytes: u64,
    /// Times that backpressure stopped the reading of a connection.
    pub reads_paused: u64,
    /// From request complete to callback begun, in microseconds: the 99th percentile of those sampled.
    pub queue_wait_us_p99: u64,
    /// The process callback's own time, in microseconds: the 99th percentile of those sampled.
    pub process_us_p99: u64,
    /// The longest turn of an event loop, in microseconds.
    pub loop_busy_us_max: u64,
}

const _: () = assert!(offset_of!(reactor_stats, struct_size) == 0);

impl StructSize for reactor_stats {
    const LEAST: usize = offset_of!(reactor_stats, loop_busy_us_max) + size_of::<u64>();

    fn set_struct_size(&mut self, bytes: usize) {
        self.struct_size = bytes;
    }
}

impl From<Stats> for reactor_stats {
    fn from(stats: Stats) -> Self {
        reactor_stats {
            struct_size: size_of::<reactor_stats>(),
            reactors: stats.reactors,
            connections_open: stats.connections_open,
            connections_accepted: stats.connections_accepted,
            connections_refused: stats.connections_refused,
            connections_timed_out: stats.connections_timed_out,
            connections_reset: stats.connections_reset,
            accept_errors: stats.accept_errors,
            requests: stats.requests,
            replies: stats.replies,
            callback_failures: stats.callback_failures,
            requests_in_flight: stats.requests_in_flight,
            bytes_in: stats.bytes_in,
            bytes_out: stats.bytes_out,
            memory_bytes: stats.memory_bytes,
            reads_paused: stats.reads_paused,
            queue_wait_us_p99: stats.queue_wait_us_p99,
            process_us_p99: stats.process_us_p99,
            loop_busy_us_max: stats.loop_busy_us_max,
        }
    }
}

/// What the reactor has counted. The numbers are read one by one while it runs: they need not be of one instant. They
/// stay readable after the stop, until reactor_free.
///
/// Parameters:
/// - `reactor`: not NULL.
/// - `index`: of one reactor thread, 0 to the number of reactors - 1, or REACTOR_ALL.
/// - `stats`: where they are written; not NULL. Its struct_size is to be set.
///
/// Returns:
/// - REACTOR_STATUS_OK: written.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `reactor` or `stats` is NULL; no reactor thread has the number `index`; the
///   struct_size is smaller than in 0.1.
///
/// Ownership: nothing changes hands.
///
/// Threads: any, callbacks included.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_get_stats(reactor: *const reactor, index: u32, stats: *mut reactor_stats) -> reactor_status {
    boundary::status(|| {
        let server = pointer::ref_or(reactor, "reactor")?.handle()?;
        let output =
            sized::output(stats, "stats")?.ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "stats is NULL"))?;
        let index = if index == REACTOR_ALL { None } else { Some(index as usize) };
        output.write(server.stats(index)?.into());
        Ok(())
    })
}
