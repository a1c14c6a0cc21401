//! Owns how a pointer from C becomes a reference or a text. Knows nothing of what it points to.

use std::ffi::{CStr, c_char, c_void};

use reactor_core::{Error, ErrorKind};

/// A pointer of the user's that the library keeps and gives back, and never looks behind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreign(*mut c_void);

impl Foreign {
    pub(crate) const NULL: Foreign = Foreign(std::ptr::null_mut());

    pub(crate) fn new(pointer: *mut c_void) -> Self {
        Foreign(pointer)
    }

    pub(crate) fn get(self) -> *mut c_void {
        self.0
    }
}

// SAFETY: the library only hands the pointer back; "Threads" in the preface says that callbacks run on several threads
// and that what user_data and conn_data point to is the caller's to protect.
unsafe impl Send for Foreign {}
// SAFETY: as above; a shared `Foreign` gives out copies of the pointer and nothing else.
unsafe impl Sync for Foreign {}

/// The object that `name` must be.
///
/// # Errors
/// `InvalidArgument` for NULL, or what cannot be an address of it.
pub(crate) fn ref_or<'a, T>(pointer: *const T, name: &str) -> Result<&'a T, Error> {
    match optional(pointer) {
        Some(object) => Ok(object),
        None => Err(no_object(pointer.is_null(), name)),
    }
}

/// As [`ref_or`], for an object that the call changes.
///
/// # Errors
/// `InvalidArgument` for NULL, or what cannot be an address of it.
pub(crate) fn mut_or<'a, T>(pointer: *mut T, name: &str) -> Result<&'a mut T, Error> {
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(no_object(pointer.is_null(), name));
    }
    // SAFETY: neither NULL nor misaligned. "Ownership" in the preface: an object that is passed in is alive until it
    // is freed or, where it is lent, until the callback returns. "Threads": no two threads use options or a reply at
    // once.
    Ok(unsafe { &mut *pointer })
}

/// The object, if there is one; NULL (and what cannot be an address of it) is none. Allocates nothing.
pub(crate) fn optional<'a, T>(pointer: *const T) -> Option<&'a T> {
    if pointer.is_null() || !pointer.is_aligned() {
        return None;
    }
    // SAFETY: neither NULL nor misaligned. "Ownership" in the preface: an object that is passed in is alive until it
    // is freed, and freeing it is its last use.
    Some(unsafe { &*pointer })
}

/// A place of the caller's, found fit to be written.
pub(crate) struct Place<T> {
    to: *mut T,
}

/// Where one value is to be written, or `None` for NULL.
///
/// # Errors
/// `InvalidArgument` for what cannot be an address of it.
pub(crate) fn output<T: Copy>(pointer: *mut T, name: &str) -> Result<Option<Place<T>>, Error> {
    if pointer.is_null() {
        return Ok(None);
    }
    if !pointer.is_aligned() {
        return Err(no_object(false, name));
    }
    Ok(Some(Place { to: pointer }))
}

impl<T: Copy> Place<T> {
    pub(crate) fn write(self, value: T) {
        // SAFETY: `output` found it neither NULL nor misaligned. "Ownership" in the preface: what an output pointer
        // points to is the caller's to lend and the library's to write during the call.
        unsafe { self.to.write(value) }
    }
}

/// The NUL-terminated text that `name` must be.
///
/// # Errors
/// `InvalidArgument` for NULL.
pub(crate) fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a CStr, Error> {
    if pointer.is_null() {
        return Err(no_object(true, name));
    }
    // SAFETY: not NULL. "Ownership" in the preface: strings are NUL-terminated and stay as they are during the call.
    Ok(unsafe { CStr::from_ptr(pointer) })
}

#[cold]
fn no_object(is_null: bool, name: &str) -> Error {
    let why = if is_null { "NULL" } else { "not aligned, so it cannot point to one" };
    Error::new(ErrorKind::InvalidArgument, format!("{name} is {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_an_object_is_refused_by_name() {
        let misaligned = std::ptr::without_provenance_mut::<u64>(1);
        for pointer in [std::ptr::null_mut(), misaligned] {
            for error in [ref_or(pointer, "options").err(), mut_or(pointer, "options").err()] {
                let error = error.expect("there is no object");
                assert_eq!(error.kind(), ErrorKind::InvalidArgument);
                assert!(error.to_string().starts_with("options is "), "{error}");
            }
            assert!(optional(pointer).is_none());
        }
        assert!(text(std::ptr::null(), "addr").is_err());
        assert!(output(misaligned, "reached").is_err());
    }

    #[test]
    fn an_output_may_be_left_out() {
        assert!(output(std::ptr::null_mut::<u64>(), "reached").expect("legal").is_none());
        let mut reached = 0_u64;
        output(&raw mut reached, "reached").expect("legal").expect("there is one").write(7);
        assert_eq!(reached, 7);
    }
}
