//! Owns the bytes of one connection that are to be sent, in order. Knows nothing of who sends them.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;
use std::sync::Arc;

use crate::push::Push;

/// A reply of at least this size is handed over rather than copied behind the others.
const HAND_OVER_BYTES: usize = 16 * 1024;
/// A push of at least this size is shared by all connections that send it.
const SHARED_BYTES: usize = 512;

/// A run of bytes that one buffer holds.
#[derive(Debug)]
enum Segment {
    Owned(Vec<u8>),
    /// As above, copied by the loop's own thread.
    Kept(Vec<u8>),
    /// One copy serves all connections.
    Shared(Arc<Push>),
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Segment::Owned(bytes) | Segment::Kept(bytes) => bytes,
            Segment::Shared(bytes) => bytes,
        }
    }
}

/// Unsent output: segments, then a tail that grows. An idle connection owns neither.
#[derive(Debug, Default)]
pub(crate) struct Output {
    tail: Vec<u8>,
    #[expect(clippy::box_collection, reason = "8 bytes in each idle connection rather than 32")]
    segments: Option<Box<VecDeque<Segment>>>,
    /// Bytes of `segments` together, and the memory of those that are not shared.
    segment_bytes: usize,
    owned_bytes: usize,
    /// Bytes of the first segment, or of the tail where there is none, that were sent.
    sent: usize,
}

impl Output {
    /// Unsent bytes.
    pub(crate) fn len(&self) -> usize {
        self.segment_bytes + self.tail.len() - self.sent
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where more bytes are appended.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    /// Lends a buffer for the turn, where the connection has none.
    pub(crate) fn lend(&mut self, buffer: &mut Vec<u8>) {
        if self.tail.capacity() == 0 {
            mem::swap(&mut self.tail, buffer);
        }
    }

    /// Takes the lent buffer back once all is sent. What is unsent stays, in a buffer of its own size.
    pub(crate) fn take_back(&mut self, lent: &mut Vec<u8>) {
        if lent.capacity() != 0 {
            if self.is_empty() {
                self.tail = Vec::new();
            }
            return;
        }
        self.keep();
        if self.tail.len() > self.sent || self.segment_bytes > 0 {
            let from = if self.segment_bytes > 0 { 0 } else { mem::take(&mut self.sent) };
            let rest = self.tail[from..].to_vec();
            *lent = mem::replace(&mut self.tail, rest);
        } else {
            self.sent = 0;
            mem::swap(&mut self.tail, lent);
        }
        lent.clear();
    }

    /// What other threads allocated and the socket did not take is copied: allocators keep memory by the thread that asked
    /// for it, and each would hold its own worst moment.
    fn keep(&mut self) {
        let Some(segments) = &mut self.segments else { return };
        for (position, segment) in segments.iter_mut().enumerate() {
            if let Segment::Owned(bytes) = segment {
                let sent = if position == 0 { mem::take(&mut self.sent) } else { 0 };
                let rest = bytes[sent..].to_vec();
                self.segment_bytes -= sent;
                self.owned_bytes = self.owned_bytes - bytes.capacity() + rest.capacity();
                *segment = Segment::Kept(rest);
            }
        }
    }

    /// Appends a buffer, by copy where that is cheaper; gives back the buffer where it was copied.
    pub(crate) fn append(&mut self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        if bytes.len() < HAND_OVER_BYTES {
            self.tail.extend_from_slice(&bytes);
            return Some(bytes);
        }
        self.seal();
        self.push(Segment::Owned(bytes));
        None
    }

    /// Appends bytes that other connections may send too.
    pub(crate) fn append_push(&mut self, push: &Arc<Push>) {
        if push.len() < SHARED_BYTES {
            self.tail.extend_from_slice(push);
        } else {
            self.seal();
            self.push(Segment::Shared(Arc::clone(push)));
        }
    }

    /// Makes the tail a segment, so that another may follow it.
    fn seal(&mut self) {
        if self.tail.len() > if self.segment_bytes > 0 { 0 } else { self.sent } {
            let tail = mem::take(&mut self.tail);
            self.push(Segment::Owned(tail));
        } else {
            self.tail.clear();
            if self.segment_bytes == 0 {
                self.sent = 0;
            }
        }
    }

    fn push(&mut self, segment: Segment) {
        self.segment_bytes += segment.bytes().len();
        if let Segment::Owned(bytes) = &segment {
            self.owned_bytes += bytes.capacity();
        }
        self.segments.get_or_insert_default().push_back(segment);
    }

    /// The first unsent bytes, as slices to gather into one call; says how many slices it filled.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut sent = self.sent;
        let segments = self.segments.iter().flat_map(|segments| segments.iter().map(Segment::bytes));
        let mut filled = 0;
        for (slice, bytes) in slices.iter_mut().zip(segments.chain([self.tail.as_slice()])) {
            *slice = IoSlice::new(&bytes[mem::take(&mut sent)..]);
            filled += 1;
        }
        filled
    }

    /// The unsent bytes where one buffer holds them all.
    pub(crate) fn single(&self) -> Option<&[u8]> {
        (self.segment_bytes == 0).then(|| &self.tail[self.sent..])
    }

    /// The first `count` unsent bytes were sent.
    pub(crate) fn wrote(&mut self, count: usize) {
        debug_assert!(count <= self.len());
        self.sent += count;
        if let Some(segments) = &mut self.segments {
            while let Some(first) = segments.front() {
                let len = first.bytes().len();
                if self.sent < len {
                    return;
                }
                self.sent -= len;
                self.segment_bytes -= len;
                if let Some(Segment::Owned(bytes) | Segment::Kept(bytes)) = segments.pop_front() {
                    self.owned_bytes -= bytes.capacity();
                }
            }
            self.segments = None;
        }
        if self.sent == self.tail.len() {
            self.tail.clear();
            self.sent = 0;
        }
    }

    /// Memory that it holds, in bytes; what it shares counts elsewhere.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.owned_bytes + self.tail.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsent(output: &Output) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = output.slices(&mut slices);
        slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn bytes_leave_in_the_order_they_came_however_they_were_given() {
        let mut output = Output::default();
        let mut expected = Vec::new();
        for round in 0..4_u8 {
            output.tail().extend_from_slice(&[round; 10]);
            output.append(vec![round; 100]);
            output.append(vec![round; HAND_OVER_BYTES + 1]);
            expected.extend_from_slice(&[round; 110]);
            expected.extend_from_slice(&vec![round; HAND_OVER_BYTES + 1]);
        }
        for step in [1, 109, 1, HAND_OVER_BYTES, 5, 20_000] {
            assert_eq!(output.len(), expected.len());
            assert_eq!(unsent(&output), expected);
            output.wrote(step);
            expected.drain(..step);
        }
        output.wrote(expected.len());
        assert!(output.is_empty() && output.memory_bytes() == 0);
    }

    #[test]
    fn the_lent_buffer_comes_back_and_the_unsent_rest_stays() {
        let mut output = Output::default();
        let mut buffer = Vec::with_capacity(1 << 16);
        output.lend(&mut buffer);
        output.tail().extend_from_slice(b"hello world");
        output.wrote(6);
        output.take_back(&mut buffer);
        assert!(buffer.is_empty() && buffer.capacity() == 1 << 16);
        assert_eq!(unsent(&output), b"world");
        assert!(output.tail.capacity() < 100);
        output.lend(&mut buffer);
        output.wrote(5);
        assert!(output.is_empty() && buffer.capacity() == 1 << 16);
    }
}
