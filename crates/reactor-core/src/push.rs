//! Owns bytes that no request asked for, framed once and shared by all connections that send them. Counts them once.

use std::ops::Deref;
use std::sync::Arc;

use crate::config::PUSH_OVERHEAD_BYTES;
use crate::framing::Framer;
use crate::shared::Shared;

/// The bytes of a send or a broadcast, as they go on the wire. They count as memory until the last holder lets go.
#[derive(Debug)]
pub(crate) struct Push {
    bytes: Vec<u8>,
    shared: Arc<Shared>,
}

impl Push {
    /// Frames `payload` as one message.
    pub(crate) fn new(shared: &Arc<Shared>, payload: &[u8]) -> Arc<Push> {
        let bytes = frame(&shared.rules.framer, &[payload]);
        shared.change_memory(0, bytes.capacity() + PUSH_OVERHEAD_BYTES);
        Arc::new(Push { bytes, shared: Arc::clone(shared) })
    }
}

/// `parts`, framed as one message.
pub(crate) fn frame(framer: &Framer, parts: &[&[u8]]) -> Vec<u8> {
    let payload: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = Vec::with_capacity(payload + framer.overhead_bytes());
    framer.begin_message(&mut bytes);
    for part in parts {
        bytes.extend_from_slice(part);
    }
    framer.end_message(&mut bytes, 0);
    bytes
}

impl Deref for Push {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        self.shared.change_memory(self.bytes.capacity() + PUSH_OVERHEAD_BYTES, 0);
    }
}
