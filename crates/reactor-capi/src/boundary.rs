//! Owns the panic boundary in which the body of every export runs, and what becomes of its error. Knows nothing of
//! what the bodies do.
//!
//! It stands inside the body, not around it in a macro, so that plain cbindgen sees every signature.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use reactor_core::{Error, ErrorKind};

use crate::last_error;
use crate::status::reactor_status;

/// Runs the body of an export that returns a status.
pub(crate) fn status(body: impl FnOnce() -> Result<(), Error>) -> reactor_status {
    match caught(body) {
        Ok(()) => reactor_status::REACTOR_STATUS_OK,
        Err(error) => failed(&error),
    }
}

/// Runs the body of an export that returns a value; `failure` (NULL, 0) is returned where the body fails.
pub(crate) fn value<T>(failure: T, body: impl FnOnce() -> Result<T, Error>) -> T {
    match caught(body) {
        Ok(value) => value,
        Err(error) => {
            failed(&error);
            failure
        }
    }
}

/// Runs the body of an export that leaves the last error alone, and neither allocates nor locks on its way.
pub(crate) fn signal_safe(body: impl FnOnce() -> reactor_status) -> reactor_status {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        // Dropping it frees memory, which a signal handler must not.
        std::mem::forget(payload);
        reactor_status::REACTOR_STATUS_PANIC
    })
}

/// Apart, so that the way of success stays short in each export.
#[cold]
#[inline(never)]
fn failed(error: &Error) -> reactor_status {
    last_error::record(error);
    error.kind().into()
}

/// `AssertUnwindSafe`: what a panic leaves half done is the caller's object, and the caller is told PANIC.
fn caught<T>(body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| Err(bug(payload.as_ref())))
}

#[cold]
fn bug(payload: &(dyn Any + Send)) -> Error {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it left no message");
    Error::new(ErrorKind::Panic, format!("a bug in the library: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{reactor_last_error, reactor_last_status};

    fn last_error() -> String {
        crate::ffi::pointer::text(reactor_last_error(), "the last error").expect("never NULL").to_string_lossy().into()
    }

    #[test]
    fn a_panic_is_a_status_and_a_story() {
        assert_eq!(status(|| panic!("number {}", 7)), reactor_status::REACTOR_STATUS_PANIC);
        assert_eq!(reactor_last_status(), reactor_status::REACTOR_STATUS_PANIC);
        assert_eq!(last_error(), "a bug in the library: number 7");
    }

    #[test]
    fn a_failed_value_is_its_stand_in_and_tells_why() {
        let failed = value(0, || Err(Error::new(ErrorKind::Io, "reading a disk: torn")));
        assert_eq!(failed, 0);
        assert_eq!(reactor_last_status(), reactor_status::REACTOR_STATUS_IO);
        assert_eq!(last_error(), "reading a disk: torn");
    }

    #[test]
    fn the_signal_safe_boundary_leaves_the_last_error_alone() {
        assert_eq!(status(|| Err(Error::new(ErrorKind::Gone, "before"))), reactor_status::REACTOR_STATUS_GONE);
        assert_eq!(signal_safe(|| panic!("in a handler")), reactor_status::REACTOR_STATUS_PANIC);
        assert_eq!(reactor_last_status(), reactor_status::REACTOR_STATUS_GONE);
        assert_eq!(last_error(), "before");
    }
}
