//! A connection under any peer, handler, workers and socket: it does what the model says.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| reactor_core::fuzzing::connection(data));
