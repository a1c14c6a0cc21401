//! Owns the way of a log message to the user's callback: process-wide, nothing and free of cost unless one is set. Knows
//! nothing of what is logged.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::{OnceLock, PoisonError, RwLock};

use log::{Level, LevelFilter, Log, Metadata, Record};
use reactor_core::{Error, ErrorKind};

use crate::boundary;
use crate::c_text;
use crate::callbacks::reactor_log_fn;
use crate::ffi::callback;
use crate::ffi::pointer::Foreign;
use crate::status::reactor_status;

/// Where messages go.
#[derive(Clone, Copy)]
struct Sink {
    log: reactor_log_fn,
    user_data: Foreign,
    level: LevelFilter,
}

/// A message holds it for reading while the callback runs, so that a change waits until none does.
static SINK: RwLock<Option<Sink>> = RwLock::new(None);

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// The one logger of the process's copy of the library.
struct Forwarder;

impl Log for Forwarder {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        // Below the level, the macros of the facade have not come as far as here.
        !IN_CALLBACK.get()
    }

    fn log(&self, record: &Record<'_>) {
        // A callback that calls the library against the rule gets no message within the message, nor a deadlock.
        if IN_CALLBACK.get() {
            return;
        }
        let sink = SINK.read().unwrap_or_else(PoisonError::into_inner);
        let Some(Sink { log, user_data, level }) = *sink else { return };
        if record.level() > level {
            return;
        }
        let target = c_text::without_nul(record.target());
        let message = c_text::without_nul(record.args().to_string());
        IN_CALLBACK.set(true);
        callback::log(log, user_data, number_of(record.level()), &target, &message);
        IN_CALLBACK.set(false);
    }

    fn flush(&self) {}
}

fn number_of(level: Level) -> u32 {
    match level {
        Level::Error => 1,
        Level::Warn => 2,
        Level::Info => 3,
        Level::Debug => 4,
        Level::Trace => 5,
    }
}

fn level_of(number: u32) -> Result<LevelFilter, Error> {
    match number {
        1 => Ok(LevelFilter::Error),
        2 => Ok(LevelFilter::Warn),
        3 => Ok(LevelFilter::Info),
        4 => Ok(LevelFilter::Debug),
        5 => Ok(LevelFilter::Trace),
        other => Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("max_level is {other}; it is 1 (error), 2 (warn), 3 (info), 4 (debug) or 5 (trace)"),
        )),
    }
}

fn set(log: reactor_log_fn, user_data: Foreign, max_level: u32) -> Result<(), Error> {
    if IN_CALLBACK.get() {
        return Err(Error::new(
            ErrorKind::WouldDeadlock,
            "setting the log callback inside a log callback, whose return it would wait for",
        ));
    }
    let sink = match log {
        None => None,
        Some(_) => Some(Sink { log, user_data, level: level_of(max_level)? }),
    };
    install()?;
    let mut current = SINK.write().unwrap_or_else(PoisonError::into_inner);
    *current = sink;
    // Within the lock, so that of two calls at once the level is that of the callback.
    log::set_max_level(sink.map_or(LevelFilter::Off, |sink| sink.level));
    Ok(())
}

/// `log` keeps one logger for each copy of it, and takes it once; the library's copy is its own.
fn install() -> Result<(), Error> {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    if *INSTALLED.get_or_init(|| log::set_logger(&Forwarder).is_ok()) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Panic, "a bug in the library: its copy of the log facade has another logger"))
}

/// Where the library's messages go: all reactors', for the whole process. Default: nowhere, at no cost. Ordinary events,
/// such as a connection that ends, are at level 4 and 5.
///
/// Parameters:
/// - `log`: called with each message; NULL: nowhere.
/// - `user_data`: the callback's first argument; may be NULL.
/// - `max_level`: messages of this level and below: 1 error, 2 warn, 3 info, 4 debug, 5 trace. Not looked at where `log`
///   is NULL.
///
/// Returns:
/// - REACTOR_STATUS_OK: set; no call of the former callback runs, nor will one come.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `max_level` is out of range; the former callback stays.
/// - REACTOR_STATUS_WOULD_DEADLOCK: the calling thread is in a log callback; the former callback stays.
///
/// Ownership: nothing changes hands; `user_data` is in use until the callback is replaced.
///
/// Threads: any, callbacks but for the log callback included. It waits for log callbacks that run: call it with no lock
/// held that one of them takes.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_set_log(log: reactor_log_fn, user_data: *mut c_void, max_level: u32) -> reactor_status {
    boundary::status(|| set(log, Foreign::new(user_data), max_level))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::ffi::c_char;

    use super::*;
    use crate::ffi::pointer;

    #[test]
    fn levels_have_the_numbers_of_the_header() {
        for level in Level::iter() {
            assert_eq!(level_of(number_of(level)).expect("in range"), level.to_level_filter());
        }
        for number in [0, 6, u32::MAX] {
            assert_eq!(level_of(number).expect_err("out of range").kind(), ErrorKind::InvalidArgument);
        }
    }

    thread_local! {
        static HEARD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    /// Other tests log from other threads meanwhile.
    extern "C-unwind" fn hear(_user_data: *mut c_void, level: u32, target: *const c_char, message: *const c_char) {
        let text = |from, name| pointer::text(from, name).expect("never NULL").to_string_lossy().into_owned();
        let inside = reactor_set_log(None, std::ptr::null_mut(), 0);
        HEARD.with_borrow_mut(|heard| {
            heard.push(format!("{level} {} {} {inside:?}", text(target, "target"), text(message, "message")));
        });
    }

    #[test]
    fn messages_come_up_to_the_level_and_until_the_callback_is_taken_away() {
        let to = |log, level| reactor_set_log(log, std::ptr::null_mut(), level);
        assert_eq!(to(Some(hear), 3), reactor_status::REACTOR_STATUS_OK);
        assert_eq!(to(Some(hear), 9), reactor_status::REACTOR_STATUS_INVALID_ARGUMENT);
        log::info!(target: "t", "one\0two");
        log::debug!("below");
        assert_eq!(to(None, 0), reactor_status::REACTOR_STATUS_OK);
        assert_eq!(log::max_level(), LevelFilter::Off);
        log::error!("to nobody");
        let heard = HEARD.take();
        assert_eq!(heard, ["3 t one\u{fffd}two REACTOR_STATUS_WOULD_DEADLOCK"]);
    }
}
