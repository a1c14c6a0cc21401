//! Owns `reactor`: the caller's handle of a running server, from start to free. Knows nothing of how the server works.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use nix::errno::Errno;
use reactor_core::{Error, ErrorKind, Handle, Mode, Server};

use crate::adaptor::Adaptor;
use crate::callbacks::reactor_process_fn;
use crate::ffi::sized::{self, Output};
use crate::ffi::{handle, pointer, slice};
use crate::options::reactor_options;
use crate::report::reactor_drain_report;
use crate::status::reactor_status;
use crate::{boundary, current, panic_hook};

// The caller's reference is one, the adaptor's the other: no thread has a dangling pointer while a callback outlives
// `reactor_free`.
/// A running server; owned by the caller from reactor_start to reactor_free.
#[expect(non_camel_case_types, reason = "types bear their C names")]
pub struct reactor {
    /// Set before the first callback, which may run before `server` is.
    handle: OnceLock<Handle>,
    server: OnceLock<Server>,
    freed: AtomicBool,
}

impl reactor {
    fn new() -> Self {
        reactor { handle: OnceLock::new(), server: OnceLock::new(), freed: AtomicBool::new(false) }
    }

    /// The server has started and calls back from here on.
    pub(crate) fn started(&self, handle: Handle) {
        let first = self.handle.set(handle);
        debug_assert!(first.is_ok(), "a server starts once");
    }

    pub(crate) fn has_started(&self) -> bool {
        self.handle.get().is_some()
    }

    /// Whether the caller's handle is gone, and only a callback that outlived it is left.
    pub(crate) fn is_freed(&self) -> bool {
        self.freed.load(Ordering::Acquire)
    }

    pub(crate) fn handle(&self) -> Result<&Handle, Error> {
        self.handle
            .get()
            .ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "reactor has not started: no callback has run yet"))
    }

    fn wait(&self, report: Option<Output<reactor_drain_report>>) -> Result<(), Error> {
        let ended = self.handle()?.wait()?;
        if let Some(report) = report {
            report.write(ended.report.into());
        }
        if ended.timed_out { Err(timed_out(ended.report.callbacks_running)) } else { Ok(()) }
    }
}

fn timed_out(callbacks_running: u64) -> Error {
    Error::new(
        ErrorKind::TimedOut,
        format!("waiting for the reactor to stop: {callbacks_running} callbacks had not returned by the deadline"),
    )
}

fn start(
    addr: &CStr,
    mode: u32,
    process: reactor_process_fn,
    options: Option<&reactor_options>,
) -> Result<*mut reactor, Error> {
    panic_hook::install();
    let mode = Mode::from_number(mode)?;
    if process.is_none() {
        return Err(Error::new(ErrorKind::InvalidArgument, "process is NULL"));
    }
    let addr = addr.to_str().map_err(|error| {
        Error::new(ErrorKind::InvalidAddress, format!("addr is not UTF-8: {:?}: {error}", addr.to_string_lossy()))
    })?;
    let defaults = reactor_options::default();
    let options = options.unwrap_or(&defaults);
    let claim = options.claim()?;
    let started = Arc::new(reactor::new());
    let adaptor = Adaptor::new(options.callbacks(process), Arc::clone(&started));
    let server = Server::start(addr, mode, options.settings(), adaptor)?;
    claim.keep();
    // `drop`: nobody else sets it; where somebody had, the server would be stopped rather than lost.
    drop(started.server.set(server));
    Ok(handle::give_shared(started))
}

/// Starts a server with default options. It is listening when this returns; callbacks may run before.
///
/// Parameters:
/// - `addr`: where to listen: `127.0.0.1:3001`, `[::1]:3001`, `localhost:3001` (a name: the first of its addresses that
///   can be bound, IPv4 first), `unix:/run/x.sock`; port 0 picks one, which reactor_local_address tells; not NULL.
/// - `mode`: a reactor_mode.
/// - `process`: called with each request; not NULL.
///
/// Returns: the reactor; NULL on failure, and then no callback was or will be called, and reactor_last_status() says:
/// - REACTOR_STATUS_INVALID_ARGUMENT: `addr` or `process` is NULL; no mode has the number `mode`.
/// - REACTOR_STATUS_INVALID_ADDRESS: `addr` is not an address, has no host, or is not UTF-8.
/// - REACTOR_STATUS_ADDRESS_IN_USE: another socket listens there.
/// - REACTOR_STATUS_ADDRESS_UNAVAILABLE: no interface of this machine has the address.
/// - REACTOR_STATUS_PERMISSION_DENIED: the operating system does not permit it, such as a port below 1024.
/// - REACTOR_STATUS_OUT_OF_RESOURCES: no descriptor, thread or memory is left.
/// - REACTOR_STATUS_IO: any other error of the operating system.
///
/// Ownership: the reactor is the caller's, to be given to reactor_free; `addr` is copied.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_start(addr: *const c_char, mode: u32, process: reactor_process_fn) -> *mut reactor {
    boundary::value(ptr::null_mut(), || start(pointer::text(addr, "addr")?, mode, process, None))
}

/// As reactor_start, with options.
///
/// Parameters:
/// - `addr`, `mode`, `process`: as in reactor_start.
/// - `options`: may be NULL: all defaults.
///
/// Returns: as reactor_start, and further:
/// - REACTOR_STATUS_INVALID_ARGUMENT: an option contradicts the mode (reactors but for MULTI, workers in SINGLE, 0
///   workers in POOLED) or another option (UNORDERED with raw framing; max_frame_bytes below the framing's smallest
///   frame; memory_limit_bytes below max_frame_bytes for each reactor); the options carry a user_data_free, and a
///   reactor was started with them before.
///
/// Ownership: as in reactor_start. The options stay the caller's, and are copied: they may be freed or changed right
/// after. The user_data of options with a user_data_free is the reactor's from here on; where start fails, still the
/// caller's.
///
/// Threads: any; the options are not to be changed or freed meanwhile.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_start_with(
    addr: *const c_char,
    mode: u32,
    process: reactor_process_fn,
    options: *const reactor_options,
) -> *mut reactor {
    boundary::value(ptr::null_mut(), || {
        let options = if options.is_null() { None } else { Some(pointer::ref_or(options, "options")?) };
        start(pointer::text(addr, "addr")?, mode, process, options)
    })
}

/// The reactor whose callback the calling thread is in: callbacks need no global for it, and it is there for those
/// that run before reactor_start has returned.
///
/// Parameters: none.
///
/// Returns: the reactor; NULL outside callbacks, and in one that was still running when its reactor was freed.
///
/// Ownership: the reactor stays its owner's.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_current() -> *mut reactor {
    boundary::value(ptr::null_mut(), || Ok(current::get()))
}

/// The address that the reactor listens at, with the port that was picked where 0 was asked for.
///
/// Parameters:
/// - `reactor`: not NULL.
/// - `buffer`: where the address is written, NUL-terminated and cut to `capacity`; NULL only where `capacity` is 0.
/// - `capacity`: bytes of `buffer`; with 0 nothing is written.
///
/// Returns: the length of the whole address without the NUL, as snprintf does: it was cut where that is not less than
/// `capacity`. 0 where an argument that must not be NULL is, and reactor_last_status() is then
/// REACTOR_STATUS_INVALID_ARGUMENT.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_local_address(reactor: *const reactor, buffer: *mut c_char, capacity: usize) -> usize {
    boundary::value(0, || {
        let address = pointer::ref_or(reactor, "reactor")?.handle()?.local_address();
        slice::copy_text(address, buffer, capacity)?;
        Ok(address.len())
    })
}

/// Asks the reactor to stop: it stops accepting and reading, answers what was admitted, flushes, closes, and cuts what
/// is left at the deadline. Returns at once. Asked several times, the earliest deadline holds.
///
/// Parameters:
/// - `reactor`: not NULL.
/// - `drain_timeout_ms`: milliseconds from now to the deadline; 0 cuts at once.
///
/// Returns:
/// - REACTOR_STATUS_OK: it stops, or had stopped.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `reactor` is NULL.
///
/// Ownership: nothing changes hands.
///
/// Threads: any, callbacks and signal handlers included: it takes no lock, allocates nothing, and keeps errno and the
/// last error as they are.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_request_stop(reactor: *mut reactor, drain_timeout_ms: u32) -> reactor_status {
    boundary::signal_safe(|| {
        let Some(handle) = pointer::optional(reactor).and_then(|reactor| reactor.handle.get()) else {
            return reactor_status::REACTOR_STATUS_INVALID_ARGUMENT;
        };
        let errno = Errno::last_raw();
        handle.request_stop(drain_timeout_ms);
        Errno::set_raw(errno);
        reactor_status::REACTOR_STATUS_OK
    })
}

/// Blocks until the reactor has stopped: every on_close has run, then user_data_free. It asks for no stop by itself.
///
/// Parameters:
/// - `reactor`: not NULL.
/// - `report`: what became of connections and requests; may be NULL. Its struct_size is to be set.
///
/// Returns:
/// - REACTOR_STATUS_OK: it has stopped, and no callback runs any more.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `reactor` is NULL; the report's struct_size is smaller than in 0.1.
/// - REACTOR_STATUS_WOULD_DEADLOCK: the calling thread is in a callback of this reactor.
/// - REACTOR_STATUS_TIMED_OUT: the deadline passed while a callback was still running, which may be user_data_free
///   itself; on_close and user_data_free follow that callback's return. The one failure that writes the report.
///
/// Ownership: nothing changes hands; the reactor still has to be freed.
///
/// Threads: any, several at once, but for callbacks of this reactor.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_wait(reactor: *mut reactor, report: *mut reactor_drain_report) -> reactor_status {
    boundary::status(|| {
        let reactor = pointer::ref_or(reactor, "reactor")?;
        reactor.wait(sized::output(report, "report")?)
    })
}

/// reactor_request_stop, then reactor_wait.
///
/// Parameters:
/// - `reactor`: not NULL.
/// - `drain_timeout_ms`: as in reactor_request_stop.
/// - `report`: as in reactor_wait; may be NULL.
///
/// Returns:
/// - REACTOR_STATUS_OK: it has stopped, and no callback runs any more.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `reactor` is NULL; the report's struct_size is smaller than in 0.1. Nothing was
///   asked for.
/// - REACTOR_STATUS_WOULD_DEADLOCK: the calling thread is in a callback of this reactor. The stop was asked for.
/// - REACTOR_STATUS_TIMED_OUT: as in reactor_wait.
///
/// Ownership: nothing changes hands; the reactor still has to be freed.
///
/// Threads: any, several at once, but for callbacks of this reactor.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_stop(
    reactor: *mut reactor,
    drain_timeout_ms: u32,
    report: *mut reactor_drain_report,
) -> reactor_status {
    boundary::status(|| {
        let reactor = pointer::ref_or(reactor, "reactor")?;
        let report = sized::output(report, "report")?;
        reactor.handle()?.request_stop(drain_timeout_ms);
        reactor.wait(report)
    })
}

/// Frees the reactor; one that still runs is stopped first, with no drain.
///
/// Parameters:
/// - `reactor`: may be NULL: nothing is done.
///
/// Returns:
/// - REACTOR_STATUS_OK: it is gone, and no callback runs any more.
/// - REACTOR_STATUS_WOULD_DEADLOCK: the calling thread is in a callback of this reactor. Nothing was freed, nothing
///   was stopped.
/// - REACTOR_STATUS_TIMED_OUT: a callback is still running; on_close and user_data_free follow its return. The handle
///   is gone all the same, and reactor_current() is NULL from here on in that callback and in those that follow it.
///
/// Ownership: the reactor is given back. This is the last use of the handle, waits in other threads included.
///
/// Threads: any, but for callbacks of this reactor.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_free(reactor: *mut reactor) -> reactor_status {
    boundary::status(|| {
        if reactor.is_null() {
            return Ok(());
        }
        let owned = pointer::ref_or(reactor, "reactor")?;
        let server = owned.handle()?;
        if server.is_inside_callback() {
            return Err(Error::new(ErrorKind::WouldDeadlock, "freeing a reactor inside one of its callbacks"));
        }
        server.request_stop(0);
        let ended = server.wait()?;
        owned.freed.store(true, Ordering::Release);
        drop(handle::take_shared(reactor));
        if ended.timed_out { Err(timed_out(ended.report.callbacks_running)) } else { Ok(()) }
    })
}
