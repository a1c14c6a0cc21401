//! Owns the types of what the user brings, and the name of a connection that they are given. How they are called is
//! `ffi::callback`'s and `adaptor`'s business.

use std::ffi::{c_char, c_void};

use crate::reply::reactor_reply;

/// Names one connection. An id is never given to a second connection of the same reactor, so a late one is always safe
/// to use. 0 names none.
#[expect(non_camel_case_types, reason = "types bear their C names")]
pub type reactor_conn = u64;

/// One request.
///
/// Parameters:
/// - `user_data`: what reactor_options_set_user_data was given, else NULL.
/// - `data`: exactly the bytes that were received, as the framing cut them; valid until the return; never NULL.
/// - `len`: how many there are; at least 1, but for an empty payload where the framing strips.
/// - `reply`: where the answer is written; valid until the return; never NULL.
///
/// Returns: 0: the reply is sent; one never written to sends nothing. Any other number: the reply is discarded, and
/// the connection is closed with REACTOR_CLOSE_CALLBACK_FAILED once the replies before it are out; later requests of
/// it are not begun, and the replies of those running are dropped. A deferred reply that was completed by then is the
/// answer until the failure is known: it may have left, and the replies that follow it in order too.
///
/// Threads: the reactor's in SINGLE and in MULTI without workers, else a worker's. With workers, requests of several
/// connections run at once, those of one connection as reactor_order says.
///
/// Since: 0.1
#[expect(non_camel_case_types, reason = "types bear their C names")]
pub type reactor_process_fn = Option<
    unsafe extern "C-unwind" fn(
        user_data: *mut c_void,
        data: *const u8,
        len: usize,
        reply: *mut reactor_reply<'_, '_>,
    ) -> i32,
>;

/// A connection was accepted.
///
/// Parameters:
/// - `user_data`: what reactor_options_set_user_data was given, else NULL.
/// - `conn`: its id, which may be used at once: what reactor_send sends from here is the greeting.
/// - `peer`: "HOST:PORT" of the other side, empty for unix sockets; valid until the return; never NULL.
/// - `conn_data`: `*conn_data` starts as NULL; what is put there stays with the connection; never NULL.
///
/// Returns: false drops the connection at once: no other callback is called for it. Without this callback every
/// connection is taken.
///
/// Threads: the reactor's that owns the connection.
///
/// Since: 0.1
#[expect(non_camel_case_types, reason = "types bear their C names")]
pub type reactor_open_fn = Option<
    unsafe extern "C-unwind" fn(
        user_data: *mut c_void,
        conn: reactor_conn,
        peer: *const c_char,
        conn_data: *mut *mut c_void,
    ) -> bool,
>;

/// The connection's last callback, exactly once for each that on_open took; no process call for it is still running.
/// Deferred replies may still be open: keep no conn_data in one.
///
/// Parameters:
/// - `user_data`: what reactor_options_set_user_data was given, else NULL.
/// - `conn`: its id.
/// - `reason`: a reactor_close_reason.
/// - `os_error`: errno where `reason` is REACTOR_CLOSE_RESET, else 0.
/// - `conn_data`: what on_open set; its last use is here.
///
/// Threads: the reactor's that owned the connection.
///
/// Since: 0.1
#[expect(non_camel_case_types, reason = "types bear their C names")]
pub type reactor_close_fn = Option<
    unsafe extern "C-unwind" fn(
        user_data: *mut c_void,
        conn: reactor_conn,
        reason: u32,
        os_error: i32,
        conn_data: *mut c_void,
    ),
>;

/// Where does the first frame of these bytes end? Each connection's bytes are asked about anew once more have come, so
/// that it need keep no state but what `seen` says.
///
/// Parameters:
/// - `user_data`: what reactor_options_set_user_data was given, else NULL.
/// - `conn_data`: what on_open set, else NULL.
/// - `data`: the bytes from the beginning of a frame on; valid until the return; never NULL.
/// - `len`: how many there are; at least 1.
/// - `seen`: how many of them an earlier call for this frame has had, so that none need be looked at twice.
///
/// Returns: above 0: the frame is that many bytes long; where that is more than `len`, the next call comes once there
/// are at least so many. 0: it cannot tell yet. Below 0: this is not the protocol; the connection is closed with
/// REACTOR_CLOSE_PROTOCOL_ERROR once what was admitted is answered. An end beyond max_frame_bytes closes it with
/// REACTOR_CLOSE_FRAME_TOO_LARGE.
///
/// Threads: the reactor's that owns the connection.
///
/// Since: 0.1
#[expect(non_camel_case_types, reason = "types bear their C names")]
pub type reactor_frame_fn = Option<
    unsafe extern "C-unwind" fn(
        user_data: *mut c_void,
        conn_data: *mut c_void,
        data: *const u8,
        len: usize,
        seen: usize,
    ) -> isize,
>;

/// A message of the library's, for people to read. It must call nothing of the library.
///
/// Parameters:
/// - `user_data`: what reactor_set_log was given.
/// - `level`: 1 error, 2 warn, 3 info, 4 debug, 5 trace.
/// - `target`: the part of the library that it comes from; UTF-8; valid until the return; never NULL.
/// - `message`: what happened, to which connection, and why, in one line of UTF-8; valid until the return; never NULL.
///
/// Threads: any of the library's, and those that call it, several at once.
///
/// Since: 0.1
#[expect(non_camel_case_types, reason = "types bear their C names")]
pub type reactor_log_fn = Option<
    unsafe extern "C-unwind" fn(user_data: *mut c_void, level: u32, target: *const c_char, message: *const c_char),
>;

/// What `reactor_options_set_user_data` takes to free the user's data. Without a C name: it has none in the header.
pub(crate) type UserDataFree = Option<unsafe extern "C-unwind" fn(user_data: *mut c_void)>;
