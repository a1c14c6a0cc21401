//! Owns that a panic of the library prints nothing. Knows nothing of who catches it.

use std::sync::Once;

/// From the first start on, a panic is an error in the log and nothing else. Left alone, std would write it to stderr,
/// which is the host's.
///
/// The hook is one for each copy of std. `libreactor.so` and `libreactor.a` bring a copy with them, which a host in C
/// or any other language shares with nobody, so the hook is for our threads and exports alone. Both need it, and both
/// are made by one run of the compiler, so they could not differ anyway. A host in Rust uses `reactor-core`, which
/// leaves the hook to its host.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if cfg!(test) {
            // The test harness reports through the hook it set.
            return;
        }
        std::panic::set_hook(Box::new(|panic| log::error!("a bug in the library: {panic}")));
    });
}
