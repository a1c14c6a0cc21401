//! Owns the one table of error kinds (number, name, message) and the error that tells the whole story. Knows nothing
//! of who reports it.

use std::io;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $number:literal, $name:literal, $message:literal;)*) => {
        /// What went wrong, as a caller tells cases apart. Numbers and names are those of `reactor_status` in C.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum ErrorKind {
            $($(#[$doc])* $kind = $number,)*
        }

        impl ErrorKind {
            /// Every kind there is, in the order of their numbers.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$kind,)*];

            /// The number that C sees: negative.
            #[must_use]
            pub const fn number(self) -> i32 {
                self as i32
            }

            /// The kind that has this number.
            #[must_use]
            pub const fn from_number(number: i32) -> Option<Self> {
                match number {
                    $($number => Some(ErrorKind::$kind),)*
                    _ => None,
                }
            }

            /// The name that C and Node see, such as `ADDRESS_IN_USE`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(ErrorKind::$kind => $name,)*
                }
            }

            /// One sentence that says what the kind means.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self {
                    $(ErrorKind::$kind => $message,)*
                }
            }
        }
    };
}

kinds! {
    /// An argument is missing, out of range, or contradicts another.
    InvalidArgument = -1, "INVALID_ARGUMENT", "an argument is missing, out of range, or contradicts another";
    /// The address is not `HOST:PORT`, `[V6]:PORT` or `unix:PATH`, or has no host.
    InvalidAddress = -2, "INVALID_ADDRESS", "the address is not HOST:PORT, [V6]:PORT or unix:PATH";
    /// Another socket listens there.
    AddressInUse = -3, "ADDRESS_IN_USE", "another socket listens at the address";
    /// No interface of this machine has the address.
    AddressUnavailable = -4, "ADDRESS_UNAVAILABLE", "no interface of this machine has the address";
    /// The operating system forbids it to this process.
    PermissionDenied = -5, "PERMISSION_DENIED", "the operating system does not permit it to this process";
    /// The connection, or the server, has ended.
    Gone = -6, "GONE", "the connection or the reactor has ended";
    /// The bytes would pass a limit.
    OverLimit = -7, "OVER_LIMIT", "the bytes would pass a limit";
    /// A blocking call made inside a callback of the same server.
    WouldDeadlock = -8, "WOULD_DEADLOCK", "a blocking call was made inside a callback";
    /// No descriptor, thread or memory is left.
    OutOfResources = -9, "OUT_OF_RESOURCES", "no descriptor, thread or memory is left";
    /// A callback had not returned when the deadline came.
    TimedOut = -10, "TIMED_OUT", "a callback had not returned when the deadline came";
    /// Any other error of the operating system.
    Io = -11, "IO", "the operating system reported an error";
    /// A bug in the library, caught at its boundary.
    Panic = -12, "PANIC", "a bug in the library was caught at its boundary";
}

/// An error with its whole story: what was tried, on what, and why it failed.
#[derive(Debug, thiserror::Error)]
#[error("{story}")]
pub struct Error {
    kind: ErrorKind,
    story: String,
    source: Option<io::Error>,
}

impl Error {
    /// An error of `kind` whose `story` says what was tried, on what, and why it failed.
    pub fn new(kind: ErrorKind, story: impl Into<String>) -> Self {
        Error { kind, story: story.into(), source: None }
    }

    /// What the operating system said of `tried` (such as "binding 127.0.0.1:80"). The kind follows from the error.
    pub fn os(tried: impl std::fmt::Display, source: io::Error) -> Self {
        Error { kind: kind_of(&source), story: format!("{tried}: {source}"), source: Some(source) }
    }

    /// What went wrong, as a caller tells cases apart.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The `errno` behind it, if the operating system reported one.
    #[must_use]
    pub fn os_error(&self) -> Option<i32> {
        self.source.as_ref().and_then(io::Error::raw_os_error)
    }

    pub(crate) fn invalid(story: impl Into<String>) -> Self {
        Error::new(ErrorKind::InvalidArgument, story)
    }
}

fn kind_of(error: &io::Error) -> ErrorKind {
    use nix::errno::Errno;
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EADDRINUSE) => ErrorKind::AddressInUse,
        Some(Errno::EADDRNOTAVAIL) => ErrorKind::AddressUnavailable,
        Some(Errno::EACCES | Errno::EPERM) => ErrorKind::PermissionDenied,
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS | Errno::EAGAIN) => {
            ErrorKind::OutOfResources
        }
        _ => ErrorKind::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_names_and_kinds_agree() {
        for (position, kind) in ErrorKind::ALL.iter().enumerate() {
            assert_eq!(kind.number(), -(position as i32) - 1);
            assert_eq!(ErrorKind::from_number(kind.number()), Some(*kind));
        }
        assert_eq!(ErrorKind::from_number(0), None);
        assert_eq!(ErrorKind::from_number(-13), None);
    }

    #[test]
    fn an_os_error_tells_what_was_tried_and_why_it_failed() {
        let error =
            Error::os("binding 127.0.0.1:80", io::Error::from_raw_os_error(nix::errno::Errno::EADDRINUSE as i32));
        assert_eq!(error.kind(), ErrorKind::AddressInUse);
        assert!(error.to_string().starts_with("binding 127.0.0.1:80: Address already in use"), "{error}");
        assert_eq!(error.os_error(), Some(nix::errno::Errno::EADDRINUSE as i32));
    }
}
