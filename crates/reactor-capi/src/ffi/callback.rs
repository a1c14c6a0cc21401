//! Owns how the user's callbacks are called, and what becomes of one that unwinds. Knows nothing of when they are
//! called.

use std::ffi::CStr;
use std::io::Write;

use crate::callbacks::{
    UserDataFree, reactor_close_fn, reactor_conn, reactor_frame_fn, reactor_log_fn, reactor_open_fn, reactor_process_fn,
};
use crate::ffi::pointer::Foreign;
use crate::reply::reactor_reply;

/// Calls `process`, which start has found not to be NULL; a NULL one fails the request.
pub(crate) fn process(
    process: reactor_process_fn,
    user_data: Foreign,
    request: &[u8],
    reply: &mut reactor_reply<'_, '_>,
) -> i32 {
    let Some(process) = process else { return -1 };
    // SAFETY: "Callbacks" in the preface: the function has the type that the header gives it, stays callable until
    // reactor_wait has returned OK, and keeps neither `data` nor `reply` beyond its return.
    contained("process", || unsafe { process(user_data.get(), request.as_ptr(), request.len(), reply) })
}

/// Calls `on_open`; without one the connection is taken. What it put into `*conn_data` is returned.
pub(crate) fn open(on_open: reactor_open_fn, user_data: Foreign, conn: reactor_conn, peer: &CStr) -> Option<Foreign> {
    let mut conn_data = std::ptr::null_mut();
    if let Some(on_open) = on_open {
        // SAFETY: "Callbacks" in the preface: the function has the type that the header gives it, stays callable until
        // reactor_wait has returned OK, and keeps neither `peer` nor `conn_data` beyond its return.
        let taken =
            contained("on_open", || unsafe { on_open(user_data.get(), conn, peer.as_ptr(), &raw mut conn_data) });
        if !taken {
            return None;
        }
    }
    Some(Foreign::new(conn_data))
}

/// Calls `on_close`, if there is one.
pub(crate) fn close(
    on_close: reactor_close_fn,
    user_data: Foreign,
    conn: reactor_conn,
    reason: u32,
    os_error: i32,
    conn_data: Foreign,
) {
    let Some(on_close) = on_close else { return };
    // SAFETY: "Callbacks" in the preface: the function has the type that the header gives it, and stays callable until
    // reactor_wait has returned OK.
    contained("on_close", || unsafe { on_close(user_data.get(), conn, reason, os_error, conn_data.get()) });
}

/// Calls `frame`, which the setter has found not to be NULL; a NULL one refuses every protocol.
pub(crate) fn frame(
    frame: reactor_frame_fn,
    user_data: Foreign,
    conn_data: Foreign,
    bytes: &[u8],
    seen: usize,
) -> isize {
    let Some(frame) = frame else { return -1 };
    // SAFETY: "Callbacks" in the preface: the function has the type that the header gives it, stays callable until
    // reactor_wait has returned OK, and keeps `data` no longer than its return.
    contained("frame", || unsafe { frame(user_data.get(), conn_data.get(), bytes.as_ptr(), bytes.len(), seen) })
}

/// Calls the log callback, if there is one.
pub(crate) fn log(log: reactor_log_fn, user_data: Foreign, level: u32, target: &CStr, message: &CStr) {
    let Some(log) = log else { return };
    // SAFETY: "Callbacks" in the preface: the function has the type that the header gives it, stays callable until
    // reactor_set_log has replaced it, which waits for this call, and keeps neither text beyond its return.
    contained("log", || unsafe { log(user_data.get(), level, target.as_ptr(), message.as_ptr()) });
}

/// Calls `user_data_free`, if there is one.
pub(crate) fn free(user_data_free: UserDataFree, user_data: Foreign) {
    let Some(user_data_free) = user_data_free else { return };
    // SAFETY: "Callbacks" in the preface: the function has the type that the header gives it, and stays callable until
    // reactor_wait has returned OK. The adaptor calls it once, after every other callback.
    contained("user_data_free", || unsafe { user_data_free(user_data.get()) });
}

/// A callback that unwinds ends the process, with a message. It is a foreign exception to Rust, and what
/// `catch_unwind` makes of one is left open ("C-unwind" ABI, Rust reference, "Panic": "Unwinding across FFI").
fn contained<T>(name: &'static str, call: impl FnOnce() -> T) -> T {
    let unwinding = EndsProcess { name };
    let answer = call();
    std::mem::forget(unwinding);
    answer
}

/// Dropped only by unwinding.
struct EndsProcess {
    name: &'static str,
}

impl Drop for EndsProcess {
    fn drop(&mut self) {
        // The one thing that the library prints: nothing is left of the process that could be told otherwise.
        let _ = writeln!(
            std::io::stderr(),
            "libreactor: an exception left the {} callback, which must not unwind; ending the process",
            self.name
        );
        std::process::abort();
    }
}
