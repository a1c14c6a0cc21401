//! Owns how an object is given to C, and taken back to be freed. Knows nothing of what the objects are.

use std::sync::Arc;

/// Gives C an object that it alone owns.
pub(crate) fn give<T>(object: T) -> *mut T {
    Box::into_raw(Box::new(object))
}

/// Takes back what [`give`] gave; NULL is nothing.
pub(crate) fn take<T>(pointer: *mut T) -> Option<Box<T>> {
    if pointer.is_null() || !pointer.is_aligned() {
        return None;
    }
    // SAFETY: not NULL, so `give` made it: "Ownership" in the preface says that only the library makes objects, and
    // that freeing one is its last use.
    Some(unsafe { Box::from_raw(pointer) })
}

/// Gives C an object that the library's own threads hold too.
pub(crate) fn give_shared<T>(object: Arc<T>) -> *mut T {
    Arc::into_raw(object).cast_mut()
}

/// Takes back what [`give_shared`] gave, which must have been found to be one of its objects.
pub(crate) fn take_shared<T>(object: *mut T) -> Arc<T> {
    // SAFETY: "Ownership" in the preface: only the library makes objects, with `give_shared` for this type, and
    // freeing one is its last use, so this reference is still counted.
    unsafe { Arc::from_raw(object) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_is_taken_back_once() {
        let counted = Arc::new(());
        let given = give(Arc::clone(&counted));
        drop(take(given));
        assert!(take(std::ptr::null_mut::<u8>()).is_none());
        let shared = give_shared(Arc::clone(&counted));
        assert_eq!(Arc::strong_count(&counted), 2);
        drop(take_shared(shared));
        assert_eq!(Arc::strong_count(&counted), 1);
    }
}
