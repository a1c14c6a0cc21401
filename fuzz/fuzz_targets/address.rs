//! Any text as an address: taken or refused, and never a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| reactor_core::fuzzing::address(data));
