//! Owns the thread that waits for a server's end. Knows nothing of what it does then.

use std::io;
use std::thread;

use nix::sys::signal::{SigSet, SigmaskHow};

/// Runs `wait` in a thread of its own, which blocks all signals, as all threads of the library do.
///
/// # Errors
/// Those of the system: then `wait` is dropped, and nothing has run.
pub(crate) fn spawn(wait: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // A new thread inherits the mask.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let waiting = thread::Builder::new().name("reactor-wait".to_owned()).spawn(wait);
    // It fails for no mask that the system itself gave.
    let _ = before.thread_set_mask();
    waiting.map(|_detached| ())
}
