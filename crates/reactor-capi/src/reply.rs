//! Owns `reactor_reply`: what the process callback writes its answer to. Knows nothing of when it is sent.

use std::ffi::c_void;
use std::ptr;

use reactor_core::Reply;

use crate::boundary;
use crate::callbacks::reactor_conn;
use crate::deferred::reactor_deferred;
use crate::ffi::pointer::{self, Foreign};
use crate::ffi::{handle, slice};
use crate::status::reactor_status;

/// The answer being written; lent to the process callback until it returns.
#[expect(non_camel_case_types, reason = "types bear their C names")]
#[derive(Debug)]
pub struct reactor_reply<'lent, 'reply> {
    reply: &'lent mut Reply<'reply, Foreign>,
}

impl<'lent, 'reply> reactor_reply<'lent, 'reply> {
    pub(crate) fn new(reply: &'lent mut Reply<'reply, Foreign>) -> Self {
        reactor_reply { reply }
    }
}

/// Appends bytes to the reply.
///
/// Parameters:
/// - `reply`: the reply that the process callback was lent; not NULL.
/// - `data`: the bytes; NULL only where `len` is 0.
/// - `len`: how many; 0 makes an empty reply a reply, which a framing that strips sends as an empty frame.
///
/// Returns:
/// - REACTOR_STATUS_OK: they are part of the reply.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `reply` is NULL; `data` is NULL and `len` is not 0; no object is `len` bytes
///   long; the reply is deferred.
/// - REACTOR_STATUS_OVER_LIMIT: the reply would pass output_limit_bytes, or what its length prefix can
///   count; it stays as it was.
///
/// Ownership: the bytes are copied.
///
/// Threads: the callback's.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_reply_write(
    reply: *mut reactor_reply<'_, '_>,
    data: *const c_void,
    len: usize,
) -> reactor_status {
    boundary::status(|| pointer::mut_or(reply, "reply")?.reply.write(slice::bytes(data, len, "data")?))
}

/// Room at the end of the reply, to be filled in place and taken by reactor_reply_commit; what is not committed is not
/// sent.
///
/// Parameters:
/// - `reply`: the reply that the process callback was lent; not NULL.
/// - `len`: bytes of room; may be 0.
///
/// Returns: the room; NULL on failure, and reactor_last_status() then says:
/// - REACTOR_STATUS_INVALID_ARGUMENT: `reply` is NULL; the reply is deferred.
/// - REACTOR_STATUS_OVER_LIMIT: the reply would pass output_limit_bytes, or what its length prefix can
///   count; it stays as it was.
///
/// Ownership: the room is the library's, and lent until the next reactor_reply call on this reply or the callback's
/// return.
///
/// Threads: the callback's.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_reply_reserve(reply: *mut reactor_reply<'_, '_>, len: usize) -> *mut u8 {
    boundary::value(ptr::null_mut(), || Ok(pointer::mut_or(reply, "reply")?.reply.reserve(len)?.as_mut_ptr()))
}

/// Makes the first bytes of what reactor_reply_reserve lent part of the reply; the rest of the room is given back.
///
/// Parameters:
/// - `reply`: the reply that the process callback was lent; not NULL.
/// - `len`: how many bytes; at most as many as were reserved; 0 makes an empty reply a reply, as in
///   reactor_reply_write.
///
/// Returns:
/// - REACTOR_STATUS_OK: they are part of the reply.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `reply` is NULL; `len` is more than was reserved since the last reactor_reply
///   call; the reply is deferred.
///
/// Ownership: the room is the library's again.
///
/// Threads: the callback's.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_reply_commit(reply: *mut reactor_reply<'_, '_>, len: usize) -> reactor_status {
    boundary::status(|| pointer::mut_or(reply, "reply")?.reply.commit(len))
}

/// Closes the connection once this reply is sent; later requests of it are not begun.
///
/// Parameters:
/// - `reply`: the reply that the process callback was lent; not NULL.
///
/// Returns:
/// - REACTOR_STATUS_OK: it will be closed, with REACTOR_CLOSE_LOCAL.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `reply` is NULL; the reply is deferred.
///
/// Ownership: nothing changes hands; the reply may still be written to.
///
/// Threads: the callback's.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_reply_close(reply: *mut reactor_reply<'_, '_>) -> reactor_status {
    boundary::status(|| pointer::mut_or(reply, "reply")?.reply.close())
}

/// The connection that asked.
///
/// Parameters:
/// - `reply`: the reply that the process callback was lent; not NULL.
///
/// Returns: its id; 0 where `reply` is NULL, and reactor_last_status() is then REACTOR_STATUS_INVALID_ARGUMENT.
///
/// Ownership: nothing changes hands; the id may be kept for ever.
///
/// Threads: the callback's.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_reply_conn(reply: *const reactor_reply<'_, '_>) -> reactor_conn {
    boundary::value(0, || Ok(pointer::ref_or(reply, "reply")?.reply.conn().as_u64()))
}

/// What on_open set for the connection that asked.
///
/// Parameters:
/// - `reply`: the reply that the process callback was lent; not NULL.
///
/// Returns: that pointer; NULL where on_open set none, or `reply` is NULL (reactor_last_status() is then
/// REACTOR_STATUS_INVALID_ARGUMENT).
///
/// Ownership: what it points to is the caller's, and in use until on_close has been called for the connection.
///
/// Threads: the callback's.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_reply_conn_data(reply: *const reactor_reply<'_, '_>) -> *mut c_void {
    boundary::value(ptr::null_mut(), || Ok(pointer::ref_or(reply, "reply")?.reply.data().get()))
}

/// Answers later, from any thread: the reply stays open in its place in the order (with REACTOR_ORDER_SERIAL the next
/// request waits for it) until the promise is kept. What was written before is the reply's beginning; from here on the
/// reply calls that change it are REACTOR_STATUS_INVALID_ARGUMENT. The callback then returns 0.
///
/// Parameters:
/// - `reply`: the reply that the process callback was lent; not NULL.
///
/// Returns: the promise; NULL on failure, and reactor_last_status() then says:
/// - REACTOR_STATUS_INVALID_ARGUMENT: `reply` is NULL, or is deferred already.
///
/// Ownership: the promise is the caller's, and has to be given, once, to reactor_deferred_complete,
/// reactor_deferred_complete_and_close or reactor_deferred_fail, before or after the callback returns, and also where
/// the callback returns non-zero. Until then the connection waits. It may outlive connection and reactor.
///
/// Threads: the callback's.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_reply_defer(reply: *mut reactor_reply<'_, '_>) -> *mut reactor_deferred {
    boundary::value(ptr::null_mut(), || {
        let deferred = pointer::mut_or(reply, "reply")?.reply.defer()?;
        Ok(handle::give(reactor_deferred::new(deferred)))
    })
}
