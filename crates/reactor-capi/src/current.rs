//! Owns which reactor's callback a thread is in. Knows nothing of what callbacks do.

use std::cell::Cell;
use std::ptr;

use crate::ffi::pointer;
use crate::reactor::reactor;

thread_local! {
    /// Not a reference: it is NULL outside callbacks, and alive inside, where the adaptor that set it holds the
    /// reactor.
    static CURRENT: Cell<*const reactor> = const { Cell::new(ptr::null()) };
}

/// Runs a callback of `reactor`'s. What was there before comes back, so that destructors of the thread see none.
pub(crate) fn within<T>(reactor: &reactor, callback: impl FnOnce() -> T) -> T {
    CURRENT.with(|current| {
        let before = current.replace(reactor);
        let answer = callback();
        current.set(before);
        answer
    })
}

/// NULL outside callbacks, and where the handle was freed while a callback was still running.
pub(crate) fn get() -> *mut reactor {
    match pointer::optional(CURRENT.get()) {
        Some(reactor) if !reactor.is_freed() => ptr::from_ref(reactor).cast_mut(),
        _ => ptr::null_mut(),
    }
}
