//! Owns `reactor_options`: settings for a start, and the setters of what is called. Knows nothing of what they mean: the
//! core checks them.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

use reactor_core::{Error, ErrorKind, Framing, Options};

use crate::adaptor::Callbacks;
use crate::boundary;
use crate::callbacks::{UserDataFree, reactor_close_fn, reactor_frame_fn, reactor_open_fn, reactor_process_fn};
use crate::ffi::handle;
use crate::ffi::heap;
use crate::ffi::pointer::{self, Foreign};
use crate::status::reactor_status;

pub mod framing;
pub mod limits;
pub mod socket;

/// Settings for a start; owned by the caller.
#[expect(non_camel_case_types, reason = "types bear their C names")]
#[derive(Debug)]
pub struct reactor_options {
    settings: Options,
    on_open: reactor_open_fn,
    on_close: reactor_close_fn,
    /// Called only with [`Framing::Custom`], and never `None` there.
    frame: reactor_frame_fn,
    user_data: Foreign,
    user_data_free: UserDataFree,
    /// A reactor has, or is about to have, the user's data. Atomic because a start only borrows the options.
    user_data_given: AtomicBool,
}

impl Default for reactor_options {
    fn default() -> Self {
        let mut settings = Options::new();
        heap::trim_when_due(&mut settings);
        reactor_options {
            settings,
            on_open: None,
            on_close: None,
            frame: None,
            user_data: Foreign::NULL,
            user_data_free: None,
            user_data_given: AtomicBool::new(false),
        }
    }
}

impl reactor_options {
    pub(crate) fn settings(&self) -> &Options {
        &self.settings
    }

    pub(crate) fn callbacks(&self, process: reactor_process_fn) -> Callbacks {
        Callbacks {
            process,
            on_open: self.on_open,
            on_close: self.on_close,
            frame: self.frame,
            user_data: self.user_data,
            user_data_free: self.user_data_free,
        }
    }

    /// Claims the user's data for one reactor: two would free it twice. The claim is void unless it is kept.
    pub(crate) fn claim(&self) -> Result<Claim<'_>, Error> {
        if self.user_data_free.is_some() && self.user_data_given.swap(true, Ordering::AcqRel) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "options carry a user_data_free and have started a reactor: a second would free the user_data twice",
            ));
        }
        Ok(Claim { options: self, kept: false })
    }

    /// The last framing that was set wins; `frame` goes with [`Framing::Custom`] alone.
    fn set_framing(&mut self, framing: Framing, frame: reactor_frame_fn) -> Result<(), Error> {
        self.settings.set_framing(framing)?;
        self.frame = frame;
        Ok(())
    }

    fn give_user_data(&mut self, user_data: Foreign, user_data_free: UserDataFree) {
        self.user_data = user_data;
        self.user_data_free = user_data_free;
        self.user_data_given = AtomicBool::new(false);
    }
}

/// The user's data is about to go to a reactor.
pub(crate) struct Claim<'a> {
    options: &'a reactor_options,
    kept: bool,
}

impl Claim<'_> {
    /// The reactor has started.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.options.user_data_given.store(false, Ordering::Release);
        }
    }
}

/// What every setter does: find the options, change them.
fn set(
    options: *mut reactor_options,
    change: impl FnOnce(&mut reactor_options) -> Result<(), Error>,
) -> reactor_status {
    boundary::status(|| change(pointer::mut_or(options, "options")?))
}

/// Options, all at their defaults.
///
/// Parameters: none.
///
/// Returns: the options; NULL only after a bug in the library, and reactor_last_status() is then REACTOR_STATUS_PANIC.
///
/// Ownership: the options are the caller's, to be given to reactor_options_free.
///
/// Threads: any. Like every object but the reactor, options are used by one thread at a time.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_new() -> *mut reactor_options {
    boundary::value(std::ptr::null_mut(), || Ok(handle::give(reactor_options::default())))
}

/// Frees options. Reactors started with them are not affected.
///
/// Parameters:
/// - `options`: may be NULL: nothing is done.
///
/// Ownership: the options are given back. The user_data of options that have started no reactor is still the caller's:
/// user_data_free is not called.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_free(options: *mut reactor_options) {
    boundary::value((), || {
        drop(handle::take(options));
        Ok(())
    });
}

/// What every callback gets as its first argument. Default: NULL.
///
/// Parameters:
/// - `options`: not NULL.
/// - `user_data`: may be NULL.
/// - `user_data_free`: called once, as the reactor's last callback; never where start fails; may be NULL. Options that
///   carry one start one reactor; setting the user data anew makes them fit for one more.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL.
///
/// Ownership: with a user_data_free, `user_data` is the reactor's once one has started; else it stays the caller's,
/// and in use until reactor_wait has returned REACTOR_STATUS_OK.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_user_data(
    options: *mut reactor_options,
    user_data: *mut c_void,
    user_data_free: Option<unsafe extern "C-unwind" fn(user_data: *mut c_void)>,
) -> reactor_status {
    set(options, |options| {
        options.give_user_data(Foreign::new(user_data), user_data_free);
        Ok(())
    })
}

/// What is called for each connection that is accepted. Default: none, every connection is taken.
///
/// Parameters:
/// - `options`: not NULL.
/// - `on_open`: may be NULL: none.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_on_open(
    options: *mut reactor_options,
    on_open: reactor_open_fn,
) -> reactor_status {
    set(options, |options| {
        options.on_open = on_open;
        Ok(())
    })
}

/// What is called for each connection that has ended. Default: none.
///
/// Parameters:
/// - `options`: not NULL.
/// - `on_close`: may be NULL: none.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_on_close(
    options: *mut reactor_options,
    on_close: reactor_close_fn,
) -> reactor_status {
    set(options, |options| {
        options.on_close = on_close;
        Ok(())
    })
}
