//! Owns how bytes cross the border: a slice that C passes in, a text copied into C's buffer. Knows nothing of what the
//! bytes mean.

use std::ffi::{c_char, c_void};

use reactor_core::{Error, ErrorKind};

/// The `len` bytes at `data`. (NULL, 0) is the empty slice.
///
/// # Errors
/// `InvalidArgument` for NULL with a length, or a length that no object has.
pub(crate) fn bytes<'a>(data: *const c_void, len: usize, name: &str) -> Result<&'a [u8], Error> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Error::new(ErrorKind::InvalidArgument, format!("{name} is NULL and its length {len}")));
    }
    if isize::try_from(len).is_err() {
        return Err(Error::new(ErrorKind::InvalidArgument, format!("{name} is {len} bytes long: no object is")));
    }
    // SAFETY: not NULL, and no longer than an object can be. "Ownership" in the preface: `len` bytes at a pointer that
    // is passed in are readable and stay as they are during the call.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

/// Copies `text` to `buffer`, cut to `capacity` and NUL-terminated, as snprintf does; with no capacity nothing.
///
/// # Errors
/// `InvalidArgument` for NULL with a capacity.
pub(crate) fn copy_text(text: &str, buffer: *mut c_char, capacity: usize) -> Result<(), Error> {
    let Some(room) = capacity.checked_sub(1) else { return Ok(()) };
    if buffer.is_null() {
        return Err(Error::new(ErrorKind::InvalidArgument, format!("buffer is NULL and its capacity {capacity}")));
    }
    let len = text.len().min(room);
    // SAFETY: not NULL. "Ownership" in the preface: `capacity` bytes at an output pointer are the caller's to lend and
    // the library's to write during the call; `len + 1` is at most that.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), buffer, len);
        buffer.add(len).write(0);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_needs_an_address_unless_it_is_empty() {
        assert_eq!(bytes(std::ptr::null(), 0, "data").expect("legal"), b"");
        assert!(bytes(std::ptr::null(), 1, "data").is_err());
        let data = b"abc";
        assert_eq!(bytes(data.as_ptr().cast(), 3, "data").expect("legal"), b"abc");
        assert!(bytes(data.as_ptr().cast(), isize::MAX as usize + 1, "data").is_err());
    }

    #[test]
    fn text_is_cut_to_its_capacity_and_always_terminated() {
        for (capacity, expected) in [(0, *b"####"), (1, *b"\0###"), (3, *b"ab\0#"), (4, *b"abc\0"), (9, *b"abc\0")] {
            let mut buffer = *b"####";
            copy_text("abc", buffer.as_mut_ptr().cast(), capacity).expect("there is a buffer");
            assert_eq!(buffer, expected);
        }
        assert!(copy_text("abc", std::ptr::null_mut(), 0).is_ok());
        assert!(copy_text("abc", std::ptr::null_mut(), 1).is_err());
    }
}
