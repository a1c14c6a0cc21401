//! Owns how requests and replies lie in the buffers that go between native code and JavaScript: entries of 32-bit
//! little-endian words, each followed by its bytes, padded to whole words. lib/lane.js knows the same.

/// Words of an entry on its way to JavaScript: kind, key, low and high half of the connection's id, count of bytes.
const REQUEST_WORDS: usize = 5;
/// Words of an entry on its way back: key, what to do, count of bytes.
const REPLY_WORDS: usize = 3;

/// What an entry tells JavaScript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    /// A connection was opened; the bytes are its peer's address.
    Open = 0,
    /// A request; the key names its reply.
    Request = 1,
    /// A connection was closed; the key is the reason.
    Close = 2,
}

/// What JavaScript wants done with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Send it.
    Send,
    /// There is none.
    Skip,
    /// The handler failed.
    Fail,
    /// Send it, then close.
    SendAndClose,
    /// There is none; close.
    SkipAndClose,
}

impl Act {
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Act::Send),
            1 => Some(Act::Skip),
            2 => Some(Act::Fail),
            3 => Some(Act::SendAndClose),
            4 => Some(Act::SkipAndClose),
            _ => None,
        }
    }
}

fn padded(len: usize) -> usize {
    len.next_multiple_of(4)
}

/// Entries on their way to JavaScript.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// Where the first entry begins that was not taken.
    head: usize,
    /// Requests that were not taken, and all other entries.
    requests: usize,
    news: usize,
}

impl Outbox {
    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.head
    }

    /// Requests that wait.
    pub(crate) fn requests(&self) -> usize {
        self.requests
    }

    /// News of connections that wait.
    pub(crate) fn news(&self) -> usize {
        self.news
    }

    pub(crate) fn push(&mut self, kind: Kind, key: u32, conn: u64, data: &[u8]) {
        for word in [kind as u32, key, conn as u32, (conn >> 32) as u32, data.len() as u32] {
            self.bytes.extend_from_slice(&word.to_le_bytes());
        }
        match kind {
            Kind::Request => self.requests += 1,
            Kind::Open | Kind::Close => self.news += 1,
        }
        self.bytes.extend_from_slice(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Copies as many whole entries as fit; says how many bytes they have, or, where not even the first fits, how many
    /// it needs.
    pub(crate) fn take(&mut self, into: &mut [u8]) -> Result<usize, usize> {
        let waiting = &self.bytes[self.head..];
        let (mut end, mut entries, mut requests) = (0, 0, 0);
        while end < waiting.len() {
            let next = end + entry_bytes(&waiting[end..]);
            if next > into.len() {
                break;
            }
            entries += 1;
            requests += usize::from(word(&waiting[end..], 0) == Some(Kind::Request as u32));
            end = next;
        }
        if end == 0 && !waiting.is_empty() {
            return Err(entry_bytes(waiting));
        }
        into[..end].copy_from_slice(&waiting[..end]);
        self.head += end;
        self.requests -= requests;
        self.news -= entries - requests;
        if self.len() == 0 {
            self.clear();
        } else if self.head > self.bytes.len() / 2 {
            self.bytes.drain(..self.head);
            self.head = 0;
        }
        Ok(end)
    }

    /// Drops the requests that wait; news of connections stays, in its order.
    pub(crate) fn drop_requests(&mut self) {
        let Outbox { bytes, head, .. } = std::mem::take(self);
        let mut waiting = &bytes[head..];
        while !waiting.is_empty() {
            let (entry, rest) = waiting.split_at(entry_bytes(waiting));
            if word(entry, 0) != Some(Kind::Request as u32) {
                self.bytes.extend_from_slice(entry);
                self.news += 1;
            }
            waiting = rest;
        }
    }

    fn clear(&mut self) {
        self.head = 0;
        self.requests = 0;
        self.news = 0;
        self.bytes.clear();
        // What a flood left behind is not kept for ever.
        self.bytes.shrink_to(1 << 20);
    }
}

fn entry_bytes(entry: &[u8]) -> usize {
    REQUEST_WORDS * 4 + padded(word(entry, REQUEST_WORDS - 1).unwrap_or(0) as usize)
}

fn word(bytes: &[u8], position: usize) -> Option<u32> {
    bytes.get(position * 4..position * 4 + 4).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes)
}

/// One reply as JavaScript packed it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedReply<'a> {
    pub(crate) key: u32,
    pub(crate) act: Act,
    pub(crate) bytes: &'a [u8],
}

/// The replies in a buffer; it ends at the first that is not well-formed.
pub(crate) fn replies(mut bytes: &[u8]) -> impl Iterator<Item = PackedReply<'_>> {
    std::iter::from_fn(move || {
        let (key, act, len) = (word(bytes, 0)?, word(bytes, 1)?, word(bytes, 2)? as usize);
        let data = bytes.get(REPLY_WORDS * 4..)?.get(..len)?;
        bytes = bytes.get(REPLY_WORDS * 4 + padded(len)..).unwrap_or_default();
        Some(PackedReply { key, act: Act::from_number(act)?, bytes: data })
    })
}
