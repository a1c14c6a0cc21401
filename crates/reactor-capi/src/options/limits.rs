//! Owns the setters of order, threads, limits and timeouts. Knows nothing of what they bring about.

use reactor_core::Order;

use super::{reactor_options, set};
use crate::status::reactor_status;

/// Which requests of one connection may run at once, and in which order their replies leave. Default:
/// REACTOR_ORDER_SERIAL.
///
/// Parameters:
/// - `options`: not NULL.
/// - `order`: a reactor_order. Start refuses REACTOR_ORDER_UNORDERED with raw framing.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; no order has the number `order`.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_order(options: *mut reactor_options, order: u32) -> reactor_status {
    set(options, |options| {
        options.settings.set_order(Order::from_number(order)?);
        Ok(())
    })
}

/// Reactor threads that own connections, in MULTI; the other modes have one, and start refuses the option there.
/// Default: the number of cores.
///
/// Parameters:
/// - `options`: not NULL.
/// - `count`: 1 to 1024.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `count` is out of range.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_reactors(options: *mut reactor_options, count: u32) -> reactor_status {
    set(options, |options| options.settings.set_reactors(count).map(drop))
}

/// Worker threads that run the process callback. Default: POOLED the number of cores; MULTI 0, the callback runs on
/// the reactor threads. SINGLE has none, and start refuses the option there.
///
/// Parameters:
/// - `options`: not NULL.
/// - `count`: 1 to 1024; 0 too, which start refuses for POOLED.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `count` is out of range.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_workers(options: *mut reactor_options, count: u32) -> reactor_status {
    set(options, |options| options.settings.set_workers(count).map(drop))
}

/// Connections open at once; those beyond are accepted and dropped. One that has ended counts for as long as a callback
/// runs for it. Default: the process's limit of descriptors less 64.
///
/// Parameters:
/// - `options`: not NULL.
/// - `count`: at least 1.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `count` is 0.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_max_connections(options: *mut reactor_options, count: u32) -> reactor_status {
    set(options, |options| options.settings.set_max_connections(count).map(drop))
}

/// Requests of one connection that are admitted and not yet answered, at which its reading pauses. Default: 64.
///
/// Parameters:
/// - `options`: not NULL.
/// - `count`: at least 1.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `count` is 0.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_max_in_flight(options: *mut reactor_options, count: u32) -> reactor_status {
    set(options, |options| options.settings.set_max_in_flight(count).map(drop))
}

/// The size of one frame, its delimiter or prefix included, in bytes: a larger one ends the connection, with
/// REACTOR_CLOSE_FRAME_TOO_LARGE, before it is buffered; raw input is cut there instead. Default: 1 MiB.
///
/// Parameters:
/// - `options`: not NULL.
/// - `bytes`: at least 1. Start refuses less than the framing's smallest frame.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `bytes` is 0.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_max_frame_bytes(options: *mut reactor_options, bytes: usize) -> reactor_status {
    set(options, |options| options.settings.set_max_frame_bytes(bytes).map(drop))
}

/// When backpressure sets in: once a connection has `high` bytes of unsent output and finished replies, it is not
/// read and none of its requests begins, until there are no more than `low`. Default: 32 KiB and 64 KiB.
///
/// Parameters:
/// - `options`: not NULL.
/// - `low`: bytes; at least 1.
/// - `high`: bytes; at least `low`.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `low` is 0, or above `high`.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_output_water_marks(
    options: *mut reactor_options,
    low: usize,
    high: usize,
) -> reactor_status {
    set(options, |options| options.settings.set_output_water_marks(low, high).map(drop))
}

/// The largest size of one reply, in bytes; and the size of a connection's unsent output past which sends to it are
/// refused. Default: 4 MiB.
///
/// Parameters:
/// - `options`: not NULL.
/// - `bytes`: at least 1.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `bytes` is 0.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_output_limit_bytes(
    options: *mut reactor_options,
    bytes: usize,
) -> reactor_status {
    set(options, |options| options.settings.set_output_limit_bytes(bytes).map(drop))
}

/// What all connections together may hold, in bytes: buffered input, requests in flight and unsent output, and a third
/// more for what the system's allocator needs beside them. Past it, each reactor thread reads one connection at a time,
/// and only to finish its frame, and sends are REACTOR_STATUS_OVER_LIMIT; all resumes at 7/8 of it. Where output that
/// nobody takes is the most of it, workers begin nothing either until it leaves, but for one each second up to a quarter
/// above the limit. Default: 256 MiB.
/// With glibc, while more than half of it is in use, and as it falls to a quarter and to nothing, a reactor thread calls
/// malloc_trim(0) now and then, so that the process gives back what it has free: see malloc_trim(3). That takes a tenth of
/// its time at the most, up to a half where a quarter of the limit is let go meanwhile.
///
/// Parameters:
/// - `options`: not NULL.
/// - `bytes`: at least 1. Start refuses less than max_frame_bytes for each reactor thread.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `bytes` is 0.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_memory_limit_bytes(
    options: *mut reactor_options,
    bytes: usize,
) -> reactor_status {
    set(options, |options| options.settings.set_memory_limit_bytes(bytes).map(drop))
}

/// How long a frame may take from its first byte to its last. A connection that takes longer is closed with
/// REACTOR_CLOSE_FRAME_TIMEOUT. Default: 60000 ms.
///
/// Parameters:
/// - `options`: not NULL.
/// - `ms`: milliseconds; 0 is none.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_frame_timeout_ms(options: *mut reactor_options, ms: u32) -> reactor_status {
    set(options, |options| {
        options.settings.set_frame_timeout_ms(ms);
        Ok(())
    })
}

/// How long a peer may take no byte of the output that is due to it. A connection that takes longer is closed with
/// REACTOR_CLOSE_WRITE_TIMEOUT. Default: 60000 ms.
///
/// Parameters:
/// - `options`: not NULL.
/// - `ms`: milliseconds; 0 is none.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_write_timeout_ms(options: *mut reactor_options, ms: u32) -> reactor_status {
    set(options, |options| {
        options.settings.set_write_timeout_ms(ms);
        Ok(())
    })
}

/// How long a connection may have no byte either way and nothing in flight. A connection that takes longer is closed
/// with REACTOR_CLOSE_IDLE_TIMEOUT. Default: 0 ms, none.
///
/// Parameters:
/// - `options`: not NULL.
/// - `ms`: milliseconds; 0 is none.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_idle_timeout_ms(options: *mut reactor_options, ms: u32) -> reactor_status {
    set(options, |options| {
        options.settings.set_idle_timeout_ms(ms);
        Ok(())
    })
}
