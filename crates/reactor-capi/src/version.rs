//! Owns the version that the library tells. The workspace manifest has it; the header's macros are made from there
//! too.

use std::ffi::{CStr, c_char};

use crate::boundary;

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("the version has no NUL"),
};

const NUMBER: u32 = number(env!("CARGO_PKG_VERSION_MAJOR")) * 10_000
    + number(env!("CARGO_PKG_VERSION_MINOR")) * 100
    + number(env!("CARGO_PKG_VERSION_PATCH"));

const fn number(digits: &str) -> u32 {
    match u32::from_str_radix(digits, 10) {
        Ok(number) => number,
        Err(_) => panic!("cargo gives each part of the version as a decimal number"),
    }
}

/// The version of the library that is running, as REACTOR_VERSION_NUMBER is that of the header compiled against.
///
/// Parameters: none.
///
/// Returns: major * 10000 + minor * 100 + patch.
///
/// Ownership: nothing changes hands.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_version_number() -> u32 {
    boundary::value(0, || Ok(NUMBER))
}

/// The version of the library that is running, such as "0.1.0".
///
/// Parameters: none.
///
/// Returns: the version, never NULL.
///
/// Ownership: the string is the library's, and static.
///
/// Threads: any.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_version() -> *const c_char {
    boundary::value(VERSION.as_ptr(), || Ok(VERSION.as_ptr()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_text_are_one_version() {
        let text = crate::ffi::pointer::text(reactor_version(), "version").expect("never NULL");
        let parts: Vec<u32> =
            text.to_str().expect("ASCII").split('.').map(|part| part.parse().expect("decimal")).collect();
        assert_eq!(reactor_version_number(), parts[0] * 10_000 + parts[1] * 100 + parts[2]);
    }
}
