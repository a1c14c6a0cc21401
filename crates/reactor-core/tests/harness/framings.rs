//! Owns the framings that many suites use. Knows nothing of servers.

use reactor_core::Framing;

/// Frames that end with a line feed, which `strip` takes from them.
pub(crate) fn lines(strip: bool) -> Framing {
    Framing::Delimiter { delimiter: b"\n".to_vec(), strip }
}

/// Frames behind so many bytes that count them, big end first, which `strip` takes from them.
pub(crate) fn prefix(width: u32, strip: bool) -> Framing {
    Framing::LengthPrefix { width, big_endian: true, strip }
}

/// `payload` behind four bytes that count it.
pub(crate) fn count(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("a test's frame is small");
    [&len.to_be_bytes(), payload].concat()
}
