//! Owns what `reactor_last_status` and `reactor_last_error` answer: the calling thread's last failure. Knows nothing
//! of who failed.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char};

use reactor_core::Error;

use crate::c_text;
use crate::status::reactor_status;

thread_local! {
    static STATUS: Cell<reactor_status> = const { Cell::new(reactor_status::REACTOR_STATUS_OK) };
    static STORY: RefCell<Option<CString>> = const { RefCell::new(None) };
}

/// The story before any failure.
const NONE: &CStr = c"";

pub(crate) fn record(error: &Error) {
    STATUS.set(error.kind().into());
    let story = c_text::without_nul(error.to_string());
    // A thread that is ending has no story any more; the status is then all it gets.
    let _ = STORY.try_with(|last| last.replace(Some(story)));
}

pub(crate) fn status() -> reactor_status {
    STATUS.get()
}

/// Valid until this thread's next failure, which is no earlier than its next call.
pub(crate) fn story() -> *const c_char {
    STORY.try_with(|last| last.borrow().as_ref().map_or(NONE.as_ptr(), |story| story.as_ptr())).unwrap_or(NONE.as_ptr())
}
