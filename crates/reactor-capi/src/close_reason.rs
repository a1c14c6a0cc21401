//! Owns `reactor_close_reason` and its map from the core's reasons. Knows nothing of what closes a connection.

use reactor_core::CloseReason;

/// Why a connection ended.
#[expect(non_camel_case_types, reason = "types and enumerators bear their C names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum reactor_close_reason {
    /// The peer finished, everything was answered.
    REACTOR_CLOSE_PEER = 0,
    /// This program closed it: reactor_close, reactor_abort, or a reply that closes.
    REACTOR_CLOSE_LOCAL = 1,
    /// The reactor stopped.
    REACTOR_CLOSE_SHUTDOWN = 2,
    /// The peer reset it, or a read or write failed.
    REACTOR_CLOSE_RESET = 3,
    /// No byte either way for the idle timeout.
    REACTOR_CLOSE_IDLE_TIMEOUT = 4,
    /// A frame was begun and not finished in time.
    REACTOR_CLOSE_FRAME_TIMEOUT = 5,
    /// The peer did not take its output in time.
    REACTOR_CLOSE_WRITE_TIMEOUT = 6,
    /// A frame would have passed max_frame_bytes.
    REACTOR_CLOSE_FRAME_TOO_LARGE = 7,
    /// The framing refused the bytes, or a partial frame stood at the end of input.
    REACTOR_CLOSE_PROTOCOL_ERROR = 8,
    /// A deferred reply was too large.
    REACTOR_CLOSE_OUTPUT_LIMIT = 9,
    /// The process callback returned non-zero, or a deferred reply failed.
    REACTOR_CLOSE_CALLBACK_FAILED = 10,
}

impl From<CloseReason> for reactor_close_reason {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::Peer => reactor_close_reason::REACTOR_CLOSE_PEER,
            CloseReason::Local => reactor_close_reason::REACTOR_CLOSE_LOCAL,
            CloseReason::Shutdown => reactor_close_reason::REACTOR_CLOSE_SHUTDOWN,
            CloseReason::Reset => reactor_close_reason::REACTOR_CLOSE_RESET,
            CloseReason::IdleTimeout => reactor_close_reason::REACTOR_CLOSE_IDLE_TIMEOUT,
            CloseReason::FrameTimeout => reactor_close_reason::REACTOR_CLOSE_FRAME_TIMEOUT,
            CloseReason::WriteTimeout => reactor_close_reason::REACTOR_CLOSE_WRITE_TIMEOUT,
            CloseReason::FrameTooLarge => reactor_close_reason::REACTOR_CLOSE_FRAME_TOO_LARGE,
            CloseReason::ProtocolError => reactor_close_reason::REACTOR_CLOSE_PROTOCOL_ERROR,
            CloseReason::OutputLimit => reactor_close_reason::REACTOR_CLOSE_OUTPUT_LIMIT,
            CloseReason::CallbackFailed => reactor_close_reason::REACTOR_CLOSE_CALLBACK_FAILED,
        }
    }
}
