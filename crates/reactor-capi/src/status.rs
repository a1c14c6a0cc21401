//! Owns `reactor_status`, its map from the core's error kinds, and what tells the last failure. Knows nothing of what
//! fails.

use std::ffi::{CStr, c_char};

use reactor_core::ErrorKind;

use crate::{boundary, last_error};

/// What became of a call: 0 is success, every failure is negative.
#[expect(non_camel_case_types, reason = "types and enumerators bear their C names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum reactor_status {
    /// Success.
    REACTOR_STATUS_OK = 0,
    /// NULL where an object is due, a number out of range, an option that contradicts another or the mode.
    REACTOR_STATUS_INVALID_ARGUMENT = -1,
    /// Not `HOST:PORT`, `[V6]:PORT` or `unix:PATH`, or no host given.
    REACTOR_STATUS_INVALID_ADDRESS = -2,
    /// Another socket listens there.
    REACTOR_STATUS_ADDRESS_IN_USE = -3,
    /// No interface of this machine has the address.
    REACTOR_STATUS_ADDRESS_UNAVAILABLE = -4,
    /// The operating system does not permit it to this process.
    REACTOR_STATUS_PERMISSION_DENIED = -5,
    /// The connection, or the reactor, has ended.
    REACTOR_STATUS_GONE = -6,
    /// The bytes would pass a limit.
    REACTOR_STATUS_OVER_LIMIT = -7,
    /// A blocking call made inside a callback.
    REACTOR_STATUS_WOULD_DEADLOCK = -8,
    /// No descriptor, thread or memory is left.
    REACTOR_STATUS_OUT_OF_RESOURCES = -9,
    /// A callback had not returned when the deadline came.
    REACTOR_STATUS_TIMED_OUT = -10,
    /// Any other error of the operating system.
    REACTOR_STATUS_IO = -11,
    /// A bug in the library, caught at its boundary.
    REACTOR_STATUS_PANIC = -12,
}

/// A C string of a Rust one, made when this is compiled: statuses have static texts.
macro_rules! c_text {
    ($text:expr) => {{
        const TEXT: &str = $text;
        const BYTES: &[u8; TEXT.len() + 1] = &with_nul(TEXT);
        match CStr::from_bytes_with_nul(BYTES) {
            Ok(text) => text,
            Err(_) => panic!("a text of the core has a NUL in it"),
        }
    }};
}

const fn with_nul<const LEN: usize>(text: &str) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    let mut at = 0;
    while at < text.len() {
        bytes[at] = text.as_bytes()[at];
        at += 1;
    }
    bytes
}

/// What C gets for each kind of the core, which has the one table of numbers, names and messages. Without a wildcard:
/// a new kind does not compile until it has its status.
macro_rules! kinds {
    ($($kind:ident => $status:ident,)*) => {
        impl From<ErrorKind> for reactor_status {
            fn from(kind: ErrorKind) -> Self {
                match kind {
                    $(ErrorKind::$kind => reactor_status::$status,)*
                }
            }
        }

        const fn name_of(kind: ErrorKind) -> &'static CStr {
            match kind {
                $(ErrorKind::$kind => c_text!(ErrorKind::$kind.name()),)*
            }
        }

        const fn message_of(kind: ErrorKind) -> &'static CStr {
            match kind {
                $(ErrorKind::$kind => c_text!(ErrorKind::$kind.message()),)*
            }
        }
    };
}

kinds! {
    InvalidArgument => REACTOR_STATUS_INVALID_ARGUMENT,
    InvalidAddress => REACTOR_STATUS_INVALID_ADDRESS,
    AddressInUse => REACTOR_STATUS_ADDRESS_IN_USE,
    AddressUnavailable => REACTOR_STATUS_ADDRESS_UNAVAILABLE,
    PermissionDenied => REACTOR_STATUS_PERMISSION_DENIED,
    Gone => REACTOR_STATUS_GONE,
    OverLimit => REACTOR_STATUS_OVER_LIMIT,
    WouldDeadlock => REACTOR_STATUS_WOULD_DEADLOCK,
    OutOfResources => REACTOR_STATUS_OUT_OF_RESOURCES,
    TimedOut => REACTOR_STATUS_TIMED_OUT,
    Io => REACTOR_STATUS_IO,
    Panic => REACTOR_STATUS_PANIC,
}

/// `text` of the status that has this number: of success, of a kind, of none.
fn text_of(status: i32, ok: &'static CStr, text: fn(ErrorKind) -> &'static CStr, none: &'static CStr) -> *const c_char {
    if status == reactor_status::REACTOR_STATUS_OK as i32 {
        return ok.as_ptr();
    }
    ErrorKind::from_number(status).map_or(none, text).as_ptr()
}

/// The name of a status without its prefix, such as "ADDRESS_IN_USE".
///
/// Parameters:
/// - `status`: any number.
///
/// Returns: the name, never NULL; "UNKNOWN" for a number that no status has.
///
/// Ownership: the string is the library's, and static.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_status_name(status: i32) -> *const c_char {
    const NONE: &CStr = c"UNKNOWN";
    boundary::value(NONE.as_ptr(), || Ok(text_of(status, c"OK", name_of, NONE)))
}

/// One sentence that says what a status means. What happened in one case, reactor_last_error tells.
///
/// Parameters:
/// - `status`: any number.
///
/// Returns: the sentence, never NULL.
///
/// Ownership: the string is the library's, and static.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_status_message(status: i32) -> *const c_char {
    const NONE: &CStr = c"no status has this number";
    boundary::value(NONE.as_ptr(), || Ok(text_of(status, c"success", message_of, NONE)))
}

/// The status of the calling thread's last failed call; successful calls leave it alone.
///
/// Parameters: none.
///
/// Returns: the status; REACTOR_STATUS_OK where no call of this thread has failed.
///
/// Ownership: nothing changes hands.
///
/// Threads: any; each has its own.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_last_status() -> reactor_status {
    boundary::value(reactor_status::REACTOR_STATUS_PANIC, || Ok(last_error::status()))
}

/// The whole story of the calling thread's last failed call: what was tried, on what, and the operating system's
/// reason.
///
/// Parameters: none.
///
/// Returns: the story in UTF-8, never NULL; empty where no call of this thread has failed.
///
/// Ownership: the string is the library's, and valid until this thread's next call of the library.
///
/// Threads: any; each has its own.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_last_error() -> *const c_char {
    boundary::value(c"".as_ptr(), || Ok(last_error::story()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi::pointer;

    fn name(status: i32) -> &'static str {
        pointer::text(reactor_status_name(status), "name").expect("never NULL").to_str().expect("ASCII")
    }

    #[test]
    fn every_kind_has_the_status_of_its_number_and_name() {
        for kind in ErrorKind::ALL {
            let status = reactor_status::from(*kind);
            assert_eq!(status as i32, kind.number());
            assert_eq!(format!("{status:?}"), format!("REACTOR_STATUS_{}", kind.name()));
            assert_eq!(name(kind.number()), kind.name());
        }
    }

    #[test]
    fn numbers_without_a_status_are_unknown() {
        assert_eq!(name(0), "OK");
        for number in [1, -13, i32::MIN, i32::MAX] {
            assert_eq!(name(number), "UNKNOWN");
            assert!(!reactor_status_message(number).is_null());
        }
    }
}
