//! Owns `reactor_deferred`: a promise to answer later, and the three ways to keep it. Knows nothing of what waits for
//! it.

use std::ffi::c_void;

use reactor_core::{Deferred, Error, ErrorKind};

use crate::boundary;
use crate::ffi::{handle, slice};
use crate::status::reactor_status;

/// A promise to answer later; made by reactor_reply_defer, and kept by one of the functions here.
#[expect(non_camel_case_types, reason = "types bear their C names")]
#[derive(Debug)]
pub struct reactor_deferred {
    deferred: Deferred,
}

impl reactor_deferred {
    pub(crate) fn new(deferred: Deferred) -> Self {
        reactor_deferred { deferred }
    }
}

/// Takes the promise back before anything else is checked: whoever keeps it once, as is due, leaks nothing and leaves
/// no connection waiting, whatever else they passed. Dropping it fails the reply.
fn take(deferred: *mut reactor_deferred) -> Result<Deferred, Error> {
    match handle::take(deferred) {
        Some(taken) => Ok(taken.deferred),
        None => Err(Error::new(ErrorKind::InvalidArgument, "deferred is NULL, or not aligned")),
    }
}

/// Sends a deferred reply: what was written before it was deferred, then these bytes.
///
/// Parameters:
/// - `deferred`: the promise; not NULL.
/// - `data`: the rest of the reply; NULL only where `len` is 0.
/// - `len`: how many bytes; 0 makes an empty reply a reply.
///
/// Returns:
/// - REACTOR_STATUS_OK: the reply has its place in the order, and is sent when its turn comes. It is dropped where the
///   connection ends before, or was sent its last reply already: see reactor_send.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `deferred` is NULL; `data` is NULL and `len` is not 0, or no object is `len`
///   bytes long: the reply then fails, as with reactor_deferred_fail.
/// - REACTOR_STATUS_OVER_LIMIT: the whole reply would pass output_limit_bytes, or what its length prefix can count; the
///   connection is closed with REACTOR_CLOSE_OUTPUT_LIMIT once the replies before it are out.
/// - REACTOR_STATUS_GONE: the connection or the reactor has ended; nothing was done.
///
/// Ownership: the promise is the library's again, whatever is returned; the bytes are copied.
///
/// Threads: any, callbacks included; after reactor_free too.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_deferred_complete(
    deferred: *mut reactor_deferred,
    data: *const c_void,
    len: usize,
) -> reactor_status {
    boundary::status(|| {
        let deferred = take(deferred)?;
        deferred.complete(slice::bytes(data, len, "data")?)
    })
}

/// As reactor_deferred_complete; the connection is closed with REACTOR_CLOSE_LOCAL once the reply is sent, and later
/// requests of it are not begun.
///
/// Parameters:
/// - `deferred`: the promise; not NULL.
/// - `data`: the rest of the reply; NULL only where `len` is 0.
/// - `len`: how many bytes; 0 makes an empty reply a reply.
///
/// Returns:
/// - REACTOR_STATUS_OK: as in reactor_deferred_complete.
/// - REACTOR_STATUS_INVALID_ARGUMENT: as in reactor_deferred_complete.
/// - REACTOR_STATUS_OVER_LIMIT: as in reactor_deferred_complete.
/// - REACTOR_STATUS_GONE: the connection or the reactor has ended; nothing was done.
///
/// Ownership: the promise is the library's again, whatever is returned; the bytes are copied.
///
/// Threads: any, callbacks included; after reactor_free too.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_deferred_complete_and_close(
    deferred: *mut reactor_deferred,
    data: *const c_void,
    len: usize,
) -> reactor_status {
    boundary::status(|| {
        let deferred = take(deferred)?;
        deferred.complete_and_close(slice::bytes(data, len, "data")?)
    })
}

/// Discards a deferred reply, what was written before included; the connection is closed with
/// REACTOR_CLOSE_CALLBACK_FAILED once the replies before it are out.
///
/// Parameters:
/// - `deferred`: the promise; not NULL.
///
/// Returns:
/// - REACTOR_STATUS_OK: the connection will be closed.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `deferred` is NULL.
/// - REACTOR_STATUS_GONE: the connection or the reactor has ended; nothing was done.
///
/// Ownership: the promise is the library's again, whatever is returned.
///
/// Threads: any, callbacks included; after reactor_free too.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_deferred_fail(deferred: *mut reactor_deferred) -> reactor_status {
    boundary::status(|| take(deferred)?.fail())
}
