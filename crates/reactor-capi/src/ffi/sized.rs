//! Owns the rule of structures that grow: the smaller of the caller's and the library's size is written. Knows
//! nothing of what is in them.

use reactor_core::{Error, ErrorKind};

/// A `repr(C)` structure whose first field is `struct_size`, which the caller sets.
pub(crate) trait StructSize: Copy {
    /// Its size in 0.1, in bytes: a caller with less was never compiled against a header of ours.
    const LEAST: usize;

    fn set_struct_size(&mut self, bytes: usize);
}

/// A structure of the caller's, found fit to be written.
pub(crate) struct Output<T> {
    to: *mut T,
    bytes: usize,
}

/// The caller's structure, or `None` where it may be NULL and is.
///
/// # Errors
/// `InvalidArgument` where its `struct_size` is smaller than in 0.1.
pub(crate) fn output<T: StructSize>(pointer: *mut T, name: &str) -> Result<Option<Output<T>>, Error> {
    if pointer.is_null() {
        return Ok(None);
    }
    if !pointer.is_aligned() {
        return Err(Error::new(ErrorKind::InvalidArgument, format!("{name} is not aligned")));
    }
    // SAFETY: neither NULL nor misaligned. "Structures that grow" in the preface: they begin with struct_size, a
    // size_t that the caller has set.
    let theirs = unsafe { pointer.cast::<usize>().read() };
    if theirs < T::LEAST {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("{name}->struct_size is {theirs}; set it to sizeof, which is at least {}", T::LEAST),
        ));
    }
    Ok(Some(Output { to: pointer, bytes: theirs.min(size_of::<T>()) }))
}

impl<T: StructSize> Output<T> {
    pub(crate) fn write(self, mut value: T) {
        value.set_struct_size(self.bytes);
        // SAFETY: `output` found the pointer fit. "Structures that grow" in the preface: struct_size bytes there are
        // the caller's to lend, and `bytes` is at most that, and at most the size of `value`.
        unsafe { std::ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), self.to.cast::<u8>(), self.bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct Grown {
        struct_size: usize,
        old: u64,
        new: u64,
    }

    impl StructSize for Grown {
        const LEAST: usize = 16;

        fn set_struct_size(&mut self, bytes: usize) {
            self.struct_size = bytes;
        }
    }

    fn written_to(struct_size: usize) -> Option<Grown> {
        let mut theirs = Grown { struct_size, old: 0, new: 0 };
        output(&raw mut theirs, "report").ok()??.write(Grown { struct_size: 0, old: 1, new: 2 });
        Some(theirs)
    }

    #[test]
    fn the_smaller_size_is_written_and_told() {
        assert_eq!(written_to(24), Some(Grown { struct_size: 24, old: 1, new: 2 }));
        assert_eq!(written_to(16), Some(Grown { struct_size: 16, old: 1, new: 0 }), "an older caller's is left alone");
        assert_eq!(written_to(usize::MAX), Some(Grown { struct_size: 24, old: 1, new: 2 }), "a newer caller");
        assert_eq!(written_to(15), None);
        assert_eq!(written_to(0), None, "a caller that forgot to set it");
    }

    #[test]
    fn null_is_no_output() {
        assert!(output(std::ptr::null_mut::<Grown>(), "report").expect("legal").is_none());
    }
}
