//! Owns the setters of how a stream is cut into requests. Knows nothing of how it is done.

use std::ffi::c_void;

use reactor_core::{Error, ErrorKind, Framing};

use super::{reactor_options, set};
use crate::callbacks::reactor_frame_fn;
use crate::ffi::slice;
use crate::status::reactor_status;

/// Cuts no requests: the process callback gets whatever has arrived, up to max_frame_bytes. This is the default; the
/// last framing that was set wins.
///
/// Parameters:
/// - `options`: not NULL.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_framing_raw(options: *mut reactor_options) -> reactor_status {
    set(options, |options| options.set_framing(Framing::Raw, None))
}

/// Cuts a request at each delimiter. The process callback gets the frame whole, its delimiter with it, so that
/// echoing it gives back the same bytes. One that would pass max_frame_bytes, the delimiter included, ends the
/// connection with REACTOR_CLOSE_FRAME_TOO_LARGE. Default: raw.
///
/// Parameters:
/// - `options`: not NULL.
/// - `delimiter`: its bytes; not NULL.
/// - `len`: how many: 1 to 16.
/// - `strip`: whether the process callback gets the payload alone, and each reply and send is framed the same way on
///   its way out; a delimiter inside a payload is the caller's business.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` or `delimiter` is NULL; `len` is 0 or above 16.
///
/// Ownership: the delimiter is copied.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_framing_delimiter(
    options: *mut reactor_options,
    delimiter: *const c_void,
    len: usize,
    strip: bool,
) -> reactor_status {
    set(options, |options| {
        // First: what is too long may not be there to be copied.
        Framing::check_delimiter_len(len)?;
        let delimiter = slice::bytes(delimiter, len, "delimiter")?.to_vec();
        options.set_framing(Framing::Delimiter { delimiter, strip }, None)
    })
}

/// Cuts requests that begin with the number of bytes that follow. The process callback gets the frame whole, its
/// prefix with it, so that echoing it gives back the same bytes. One that would pass max_frame_bytes, the prefix
/// included, ends the connection with REACTOR_CLOSE_FRAME_TOO_LARGE as soon as its prefix is read. Default: raw.
///
/// Parameters:
/// - `options`: not NULL.
/// - `width`: bytes of the prefix: 1, 2, 4 or 8. It counts the payload, not itself.
/// - `big_endian`: whether its most significant byte comes first.
/// - `strip`: whether the process callback gets the payload alone, and each reply and send is framed the same way on
///   its way out; one too long for its prefix is REACTOR_STATUS_OVER_LIMIT.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `width` is none of these.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_framing_length_prefix(
    options: *mut reactor_options,
    width: u32,
    big_endian: bool,
    strip: bool,
) -> reactor_status {
    set(options, |options| options.set_framing(Framing::LengthPrefix { width, big_endian, strip }, None))
}

/// Cuts requests of one size. Default: raw.
///
/// Parameters:
/// - `options`: not NULL.
/// - `frame_bytes`: the size, in bytes; at least 1. Start refuses one above max_frame_bytes.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `frame_bytes` is 0.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_framing_fixed(
    options: *mut reactor_options,
    frame_bytes: usize,
) -> reactor_status {
    set(options, |options| options.set_framing(Framing::Fixed(frame_bytes), None))
}

/// Cuts requests where a callback says. The process callback gets the frame whole. Default: raw.
///
/// Parameters:
/// - `options`: not NULL.
/// - `frame`: asked where a frame ends; not NULL.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` or `frame` is NULL.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_framing_custom(
    options: *mut reactor_options,
    frame: reactor_frame_fn,
) -> reactor_status {
    set(options, |options| {
        if frame.is_none() {
            return Err(Error::new(ErrorKind::InvalidArgument, "frame is NULL"));
        }
        options.set_framing(Framing::Custom, frame)
    })
}
