//! The bytes that are sent and those that are to come back. Knows nothing of sockets or time.
//!
//! Both are a block that is repeated for ever. No two places of a block look alike, and each connection begins at a
//! message of its own, so bytes that went missing, came twice, changed places or belong to another connection are seen
//! by comparing with the block: one memcmp a read.

use std::ops::Range;

use anyhow::{Result, bail};

/// Messages in a block, where they are small.
const MESSAGES: usize = 1_021;
/// Bytes of a block, where they are large: small enough for the cache of a core.
const BLOCK_BYTES: usize = 256 * 1024;

/// Begins a request that is to take its time by sleeping; the time follows in microseconds, as a little-endian u32.
const SLEEP_MARK: u8 = 1;
/// Begins one that is to take its time by computing.
const SPIN_MARK: u8 = 2;
const MARK_BYTES: usize = 5;

/// How a slow request takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SlowKind {
    /// The server's thread sleeps.
    Sleep,
    /// The server's thread computes.
    Spin,
}

/// Messages of one size, again and again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    bytes: Vec<u8>,
    message_bytes: usize,
}

impl Block {
    /// Messages of letters and digits.
    pub(crate) fn letters(message_bytes: usize) -> Result<Block> {
        if message_bytes == 0 {
            bail!("a message has at least one byte");
        }
        let messages = (BLOCK_BYTES / message_bytes).clamp(2, MESSAGES);
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789__";
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let letter = || {
            // xorshift64 (Marsaglia 2003): the same bytes in each run.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            alphabet[(state >> 58) as usize]
        };
        let bytes = std::iter::repeat_with(letter).take(messages * message_bytes).collect();
        Ok(Block { bytes, message_bytes })
    }

    /// Letters, and each message ended by a delimiter, which is nowhere else.
    pub(crate) fn delimited(message_bytes: usize, delimiter: &[u8]) -> Result<Block> {
        if delimiter.is_empty() || delimiter.len() > message_bytes {
            bail!("a message of {message_bytes} bytes cannot end in a delimiter of {}", delimiter.len());
        }
        if delimiter.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
            bail!("the delimiter could stand among the letters of a message: take one with another character");
        }
        let mut block = Block::letters(message_bytes)?;
        for message in block.bytes.chunks_exact_mut(message_bytes) {
            message[message_bytes - delimiter.len()..].copy_from_slice(delimiter);
        }
        Ok(block)
    }

    /// Letters, and each message marked as one to take its time.
    pub(crate) fn slow(message_bytes: usize, kind: SlowKind, us: u32) -> Result<Block> {
        if message_bytes < MARK_BYTES {
            bail!("a slow request has at least {MARK_BYTES} bytes");
        }
        let mark = match kind {
            SlowKind::Sleep => SLEEP_MARK,
            SlowKind::Spin => SPIN_MARK,
        };
        let mut block = Block::letters(message_bytes)?;
        for message in block.bytes.chunks_exact_mut(message_bytes) {
            message[0] = mark;
            message[1..MARK_BYTES].copy_from_slice(&us.to_le_bytes());
        }
        Ok(block)
    }

    /// The same message again and again.
    pub(crate) fn repeated(message: &[u8]) -> Block {
        let messages = (BLOCK_BYTES / message.len().max(1)).clamp(1, 64);
        Block { bytes: message.repeat(messages), message_bytes: message.len() }
    }

    /// Bytes of one message.
    pub(crate) fn message_bytes(&self) -> usize {
        self.message_bytes
    }

    /// Where connection number `index` begins.
    pub(crate) fn start_of(&self, index: usize) -> usize {
        index * 31 % (self.bytes.len() / self.message_bytes) * self.message_bytes
    }

    /// At most `len` bytes from `offset` on, at least one where `len` is.
    pub(crate) fn slice(&self, offset: usize, len: usize) -> &[u8] {
        &self.bytes[self.piece(offset, len)]
    }

    /// The offset `len` bytes further on.
    pub(crate) fn advance(&self, offset: usize, len: usize) -> usize {
        // A division is dear, and hardly ever needed.
        let next = offset + len;
        if next < self.bytes.len() { next } else { next % self.bytes.len() }
    }

    /// The first of `received` that is not what the block has from `offset` on.
    pub(crate) fn mismatch(&self, mut offset: usize, received: &[u8]) -> Option<usize> {
        let mut checked = 0;
        while checked < received.len() {
            let expected = self.slice(offset, received.len() - checked);
            let got = &received[checked..checked + expected.len()];
            if expected != got {
                return expected.iter().zip(got).position(|(a, b)| a != b).map(|at| checked + at);
            }
            checked += got.len();
            offset = self.advance(offset, got.len());
        }
        None
    }

    fn piece(&self, offset: usize, len: usize) -> Range<usize> {
        offset..self.bytes.len().min(offset + len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(block: &Block, mut offset: usize, mut len: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while len > 0 {
            let piece = block.slice(offset, len);
            bytes.extend_from_slice(piece);
            len -= piece.len();
            offset = block.advance(offset, piece.len());
        }
        bytes
    }

    /// Every fault that a server may make with a stream: bytes missing, doubled, exchanged, foreign.
    #[test]
    fn lost_doubled_and_reordered_messages_are_seen() -> Result<()> {
        let block = Block::letters(64)?;
        let start = block.start_of(3);
        let whole = stream(&block, start, 10 * 64);
        assert_eq!(block.mismatch(start, &whole), None);
        let lost = [&whole[..128], &whole[192..]].concat();
        assert!(matches!(block.mismatch(start, &lost), Some(at) if (128..192).contains(&at)));
        let doubled = [&whole[..128], &whole[64..]].concat();
        assert!(matches!(block.mismatch(start, &doubled), Some(at) if (128..192).contains(&at)));
        let swapped = [&whole[64..128], &whole[..64]].concat();
        assert!(block.mismatch(start, &swapped).is_some());
        assert!(block.mismatch(start, &stream(&block, block.start_of(4), 640)).is_some());
        let mut flipped = whole;
        flipped[639] ^= 1;
        assert_eq!(block.mismatch(start, &flipped), Some(639));
        Ok(())
    }

    /// A block is a ring: what runs over its end goes on at its beginning.
    #[test]
    fn comparing_goes_on_over_the_end_of_the_block() -> Result<()> {
        let block = Block::letters(100_000)?;
        let received = stream(&block, 150_000, 400_000);
        assert_eq!(received.len(), 400_000);
        assert_eq!(block.mismatch(150_000, &received), None);
        Ok(())
    }

    #[test]
    fn each_message_ends_in_the_delimiter_and_has_it_nowhere_else() -> Result<()> {
        let block = Block::delimited(40, b"\r\n\r\n")?;
        assert!(block.bytes.chunks_exact(40).all(|message| message.ends_with(b"\r\n\r\n")));
        assert!(block.bytes.chunks_exact(40).all(|message| !message[..36].contains(&b'\r')));
        assert!(Block::delimited(3, b"\r\n\r\n").is_err());
        assert!(Block::delimited(40, b"a").is_err());
        Ok(())
    }

    #[test]
    fn a_slow_request_says_how_long_and_a_quick_one_has_no_mark() -> Result<()> {
        let slow = Block::slow(64, SlowKind::Spin, 200_000)?;
        assert_eq!(slow.slice(64, 5), [2, 0x40, 0x0d, 3, 0]);
        let quick = Block::letters(64)?;
        assert!(quick.bytes.iter().all(|byte| ![SLEEP_MARK, SPIN_MARK].contains(byte)));
        Ok(())
    }
}
