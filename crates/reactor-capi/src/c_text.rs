//! Owns how a text of ours becomes one that C can read to its end. Knows nothing of what it says.

use std::ffi::CString;

/// A text may quote what the caller passed in; a NUL in it would hide the rest from C.
pub(crate) fn without_nul(text: impl Into<String>) -> CString {
    let text = text.into();
    let text = if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text };
    CString::new(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_in_a_text_hides_nothing_of_it() {
        assert_eq!(without_nul("before\0after").to_str(), Ok("before\u{fffd}after"));
        assert_eq!(without_nul("").to_str(), Ok(""));
    }
}
