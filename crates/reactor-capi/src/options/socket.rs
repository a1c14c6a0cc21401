//! Owns the setters of what the operating system is asked for. Knows nothing of sockets.

use super::{reactor_options, set};
use crate::status::reactor_status;

/// Connections that the operating system holds until they are accepted (listen(2)). Default: 4096.
///
/// Parameters:
/// - `options`: not NULL.
/// - `count`: at least 1.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `count` is 0.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_backlog(options: *mut reactor_options, count: u32) -> reactor_status {
    set(options, |options| options.settings.set_backlog(count).map(drop))
}

/// Whether small writes leave at once (TCP_NODELAY). Default: true.
///
/// Parameters:
/// - `options`: not NULL.
/// - `on`: whether.
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
pub extern "C" fn reactor_options_set_nodelay(options: *mut reactor_options, on: bool) -> reactor_status {
    set(options, |options| {
        options.settings.set_nodelay(on);
        Ok(())
    })
}

/// After how many seconds of silence TCP asks whether the peer is still there (SO_KEEPALIVE). Default: 0, off.
///
/// Parameters:
/// - `options`: not NULL.
/// - `seconds`: 1 to 32767, which is what the operating system takes; 0 is off.
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `seconds` is above 32767.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_keepalive_s(options: *mut reactor_options, seconds: u32) -> reactor_status {
    set(options, |options| options.settings.set_keepalive_s(seconds).map(drop))
}

/// Whether several sockets may listen at the address, and share its connections (SO_REUSEPORT). Default: false.
///
/// Parameters:
/// - `options`: not NULL.
/// - `on`: whether.
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
pub extern "C" fn reactor_options_set_reuse_port(options: *mut reactor_options, on: bool) -> reactor_status {
    set(options, |options| {
        options.settings.set_reuse_port(on);
        Ok(())
    })
}

/// Who may connect to a unix:PATH socket: the permissions of its file (chmod(2)). Default: 0600, the owner alone.
///
/// Parameters:
/// - `options`: not NULL.
/// - `mode`: at most 0777 (octal).
///
/// Returns:
/// - REACTOR_STATUS_OK: set.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `mode` is above 0777.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_options_set_unix_mode(options: *mut reactor_options, mode: u32) -> reactor_status {
    set(options, |options| options.settings.set_unix_mode(mode).map(drop))
}
