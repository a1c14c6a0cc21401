//! Any settings: refused, or within their limits.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| reactor_core::fuzzing::options(data));
