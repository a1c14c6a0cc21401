//! Owns the bytes of one connection that are to be sent, in order. Knows nothing of who sends them.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;
use std::sync::Arc;

use crate::config::{HAND_OVER_BYTES, KEPT_BYTES};
use crate::push::Push;

/// A push of at least this size is shared by all connections that send it.
const SHARED_BYTES: usize = 512;

/// A run of bytes that one buffer holds.
#[derive(Debug)]
enum Segment {
    /// As another thread made it.
    HandedOver(Vec<u8>),
    /// What the socket did not take, in a buffer of the loop's own; only the last one has room.
    Kept(Vec<u8>),
    /// One copy serves all connections.
    Shared(Arc<Push>),
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Segment::HandedOver(bytes) | Segment::Kept(bytes) => bytes,
            Segment::Shared(bytes) => bytes,
        }
    }

    /// Memory that is nobody else's.
    fn owned_bytes(&self) -> usize {
        match self {
            Segment::HandedOver(bytes) | Segment::Kept(bytes) => bytes.capacity(),
            Segment::Shared(_) => 0,
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

    /// Ends a turn: gives the lent buffer back, and keeps what is unsent. Gives away the buffer of a reply that was the
    /// tail, where there was one.
    pub(crate) fn take_back(&mut self, lent: &mut Vec<u8>) -> Option<Vec<u8>> {
        if !self.is_empty() {
            self.keep();
        }
        let mut tail = mem::take(&mut self.tail);
        if lent.capacity() != 0 {
            return (tail.capacity() != 0).then_some(tail);
        }
        tail.clear();
        *lent = tail;
        None
    }

    /// Copies what others allocated, or will need again, into buffers of one size that this thread allocates. What
    /// waits may wait long, and such buffers leave no holes when they go: allocators keep memory by the thread that
    /// asked for it, and what is left between buffers of many sizes serves nobody.
    fn keep(&mut self) {
        let mut sent = mem::take(&mut self.sent);
        let handed_over = |segment: &Segment| matches!(segment, Segment::HandedOver(_));
        if let Some(segments) = self.segments.take_if(|segments| segments.iter().any(handed_over)) {
            self.segment_bytes = 0;
            self.owned_bytes = 0;
            for segment in *segments {
                match segment {
                    Segment::HandedOver(bytes) => self.store(&bytes[mem::take(&mut sent)..]),
                    Segment::Kept(_) | Segment::Shared(_) => {
                        self.sent += mem::take(&mut sent);
                        self.push(segment);
                    }
                }
            }
        } else if self.segments.is_some() {
            self.sent = mem::take(&mut sent);
        }
        let tail = mem::take(&mut self.tail);
        self.store(&tail[sent..]);
        self.tail = tail;
        self.tail.clear();
    }

    /// Appends a copy to the segments.
    fn store(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let segments = self.segments.get_or_insert_default();
            let Some(Segment::Kept(last)) = segments.back_mut().filter(|last| has_room(last)) else {
                // What is little may stay so.
                let first = Vec::with_capacity(bytes.len().min(KEPT_BYTES));
                self.owned_bytes += first.capacity();
                segments.push_back(Segment::Kept(first));
                continue;
            };
            let (now, rest) = bytes.split_at(bytes.len().min(KEPT_BYTES - last.len()));
            let before = last.capacity();
            if before - last.len() < now.len() {
                last.reserve_exact(KEPT_BYTES - last.len());
            }
            last.extend_from_slice(now);
            self.owned_bytes += last.capacity() - before;
            self.segment_bytes += now.len();
            bytes = rest;
        }
    }

    /// Appends bytes, by copy where that is cheaper.
    pub(crate) fn append(&mut self, bytes: Cow<'_, [u8]>) {
        match bytes {
            Cow::Owned(bytes) if self.tail.capacity() == 0 => self.tail = bytes,
            Cow::Owned(bytes) if bytes.len() >= HAND_OVER_BYTES => {
                self.seal();
                self.push(Segment::HandedOver(bytes));
            }
            Cow::Owned(_) | Cow::Borrowed(_) => self.tail.extend_from_slice(&bytes),
        }
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
            self.push(Segment::HandedOver(tail));
        } else {
            self.tail.clear();
            if self.segment_bytes == 0 {
                self.sent = 0;
            }
        }
    }

    fn push(&mut self, segment: Segment) {
        self.segment_bytes += segment.bytes().len();
        self.owned_bytes += segment.owned_bytes();
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
                self.owned_bytes -= first.owned_bytes();
                segments.pop_front();
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

/// Whether more may be copied behind what a segment holds.
fn has_room(segment: &Segment) -> bool {
    match segment {
        Segment::Kept(bytes) => bytes.len() < KEPT_BYTES,
        Segment::HandedOver(_) | Segment::Shared(_) => false,
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
            output.append(vec![round; 100].into());
            output.append(vec![round; HAND_OVER_BYTES + 1].into());
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
        assert!(output.memory_bytes() < 100);
        output.lend(&mut buffer);
        output.wrote(5);
        output.take_back(&mut buffer);
        assert!(output.is_empty() && output.memory_bytes() == 0 && buffer.capacity() == 1 << 16);
    }
}
