//! Owns how the C library's allocator gives back memory that is free. Knows nothing of when.

use reactor_core::Options;

/// Lets the server do it when it is due.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn trim_when_due(options: &mut Options) {
    options.set_heap_trim(|| {
        // SAFETY: malloc_trim(3) may be called at any time by any thread (MT-Safe), and touches no memory in use.
        let _ = unsafe { nix::libc::malloc_trim(0) };
    });
}

/// Other C libraries have no such function.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn trim_when_due(_options: &mut Options) {}
