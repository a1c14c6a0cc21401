//! Framing, cut anywhere: the frames are those of the definition.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| reactor_core::fuzzing::framing(data));
