//! Owns requests that wait together, as they pass from the loop to a worker and back. Knows nothing of who answers them.

use std::collections::VecDeque;
use std::mem;

use crate::config::RECYCLED_BYTES;

/// Requests, one behind the other in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    bytes: Vec<u8>,
    /// Where in `bytes` each request ends.
    ends: VecDeque<usize>,
    /// Where the first of them begins.
    head: usize,
}

impl Requests {
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn push(&mut self, request: &[u8]) {
        self.move_down();
        self.bytes.extend_from_slice(request);
        self.ends.push_back(self.bytes.len());
    }

    /// Drops the bytes of requests that were popped, once that is worth the copying.
    fn move_down(&mut self) {
        if self.head > self.bytes.len() / 2 {
            self.drop_popped();
        }
    }

    fn drop_popped(&mut self) {
        self.bytes.drain(..self.head);
        for end in &mut self.ends {
            *end -= self.head;
        }
        self.head = 0;
    }

    /// Keeps no more memory than what is left needs: it may wait long.
    pub(crate) fn fit(&mut self) {
        self.drop_popped();
        self.bytes.shrink_to_fit();
    }

    /// As [`fit`](Requests::fit), where those that were popped, which nobody counts any more, and those that are left are
    /// large. Many small ones had better keep their buffer: one that shrinks again and again leaves holes in the heap.
    pub(crate) fn fit_large(&mut self) {
        let left_bytes = self.bytes.len() - self.head;
        if self.head > RECYCLED_BYTES && left_bytes > self.len() * RECYCLED_BYTES {
            self.fit();
        }
    }

    /// Appends to the last request where both together have at most `max_bytes`; says whether it did.
    pub(crate) fn join(&mut self, bytes: &[u8], max_bytes: usize) -> bool {
        let Some(end) = self.ends.back().copied() else {
            return false;
        };
        let begin = self.ends.iter().rev().nth(1).copied().unwrap_or(self.head);
        if end - begin + bytes.len() > max_bytes {
            return false;
        }
        self.bytes.extend_from_slice(bytes);
        self.ends.pop_back();
        self.ends.push_back(self.bytes.len());
        true
    }

    /// Moves all requests of `other` behind these; without a copy where there are none.
    pub(crate) fn append(&mut self, other: &mut Requests) {
        if self.is_empty() {
            mem::swap(self, other);
        } else {
            let mut begin = other.head;
            for end in mem::take(&mut other.ends) {
                self.push(&other.bytes[begin..end]);
                begin = end;
            }
        }
        other.clear();
    }

    /// The first request and, behind it, what is left.
    pub(crate) fn pop(&mut self) -> Option<&[u8]> {
        let end = self.ends.pop_front()?;
        let begin = mem::replace(&mut self.head, end);
        Some(&self.bytes[begin..end])
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.head = 0;
    }

    /// As [`clear`](Requests::clear), and keeps no large buffer: nobody counts it.
    pub(crate) fn drop_all(&mut self) {
        self.clear();
        if self.bytes.capacity() > RECYCLED_BYTES {
            self.bytes = Vec::new();
        }
    }

    /// A batch that was done gives its buffer to the next reply. Requests come from the loop's thread and replies go
    /// there, so all of them stay in one heap of the allocator, which keeps a heap for each thread that asks.
    pub(crate) fn give_buffer(&mut self, reply: &mut Vec<u8>) {
        debug_assert!(self.is_empty());
        if reply.capacity() == 0 {
            self.clear();
            mem::swap(&mut self.bytes, reply);
        } else {
            self.drop_all();
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}
