//! Owns the account of a simulated run, a line for each event in plain words, where somebody wants one.

use std::cell::RefCell;

use crate::simulation::clock;

thread_local! {
    static LINES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// From here on the story is told, or not.
pub(crate) fn begin(wanted: bool) {
    LINES.set(wanted.then(Vec::new));
}

/// One event.
pub(crate) fn tell(line: impl FnOnce() -> String) {
    LINES.with_borrow_mut(|lines| {
        if let Some(lines) = lines {
            lines.push(format!("{:>7} ms  {}", clock::now_ms(), line()));
        }
    });
}

/// The story so far.
pub(crate) fn end() -> Vec<String> {
    LINES.take().unwrap_or_default()
}
