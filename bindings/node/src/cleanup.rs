//! Owns what is to run when a JavaScript environment ends, and that it can be called off without a trace: napi's own
//! removal leaves its closure behind for good. Knows nothing of what runs.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering};

use napi::bindgen_prelude::Env;
use napi::{check_status, sys};

type Work = Box<dyn FnOnce()>;

/// Those that have neither run nor been called off, in all environments of the process.
static LEFT: AtomicU32 = AtomicU32::new(0);

/// How many there are, in all environments of the process.
pub(crate) fn left() -> u32 {
    LEFT.load(Ordering::Relaxed)
}

/// Work for the end of the environment. It stays with that environment's thread; dropping it calls nothing off.
pub(crate) struct Cleanup {
    env: sys::napi_env,
    /// Freed by whoever comes first: the environment's end or [`Cleanup::call_off`].
    work: *mut Work,
}

impl Cleanup {
    /// `work` runs in this thread when `env` ends, before that of anyone who came earlier.
    pub(crate) fn at_end(env: &Env, work: impl FnOnce() + 'static) -> Result<Cleanup, napi::Error> {
        let work = Box::into_raw(Box::new(Box::new(work) as Work));
        let env = env.raw();
        // SAFETY: Node-API, napi_add_env_cleanup_hook: `env` is that of the running call, and (run, work) is a new pair.
        let status = unsafe { sys::napi_add_env_cleanup_hook(env, Some(run), work.cast()) };
        check_status!(status).inspect_err(|_| {
            // SAFETY: `work` is from `Box::into_raw` above, and was handed to nobody.
            drop(unsafe { Box::from_raw(work) });
        })?;
        LEFT.fetch_add(1, Ordering::Relaxed);
        Ok(Cleanup { env, work })
    }

    /// It is not to run any more. For the environment's thread, while JavaScript runs there.
    pub(crate) fn call_off(self) {
        // SAFETY: JavaScript runs, so the environment has not ended, and the pair is the one added in `at_end`; it is removed
        // once, for this takes the only value that names it.
        let removed = unsafe { sys::napi_remove_env_cleanup_hook(self.env, Some(run), self.work.cast()) };
        if removed == sys::Status::napi_ok {
            LEFT.fetch_sub(1, Ordering::Relaxed);
            // SAFETY: `work` is from `Box::into_raw` in `at_end`, and nobody else has it any more.
            drop(unsafe { Box::from_raw(self.work) });
        }
    }
}

/// The environment ends.
unsafe extern "C" fn run(work: *mut c_void) {
    LEFT.fetch_sub(1, Ordering::Relaxed);
    // SAFETY: the environment gives back what it was given in `at_end`, once, and `call_off` cannot come later.
    let work = unsafe { Box::from_raw(work.cast::<Work>()) };
    work();
}
