//! One connection: sends requests, checks what comes back, knows which requests are unanswered and since when. Knows
//! nothing of other connections, of polling or of when to send.

use std::io::{ErrorKind, Read, Write};

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;

use crate::content::Block;
use crate::unanswered::Unanswered;

/// What is sent and what is to come back for it.
#[derive(Clone, Copy)]
pub(crate) struct Script<'a> {
    pub(crate) requests: &'a Block,
    pub(crate) replies: &'a Block,
    /// Most bytes of one write.
    pub(crate) write_bytes: usize,
}

/// One connection.
pub(crate) struct Connection<'a> {
    pub(crate) stream: TcpStream,
    script: Script<'a>,
    /// Where in the block the next byte to send is.
    send_at: usize,
    /// Bytes of requests that were asked for and that the socket has not taken yet.
    unsent: usize,
    receive_at: usize,
    /// Bytes of the reply that is not complete yet.
    partial: usize,
    unanswered: Unanswered,
    answered: u64,
}

impl<'a> Connection<'a> {
    /// Number `index`, which decides where in the blocks it begins.
    pub(crate) fn new(stream: TcpStream, script: Script<'a>, index: usize) -> Connection<'a> {
        Connection {
            stream,
            script,
            send_at: script.requests.start_of(index),
            unsent: 0,
            receive_at: script.replies.start_of(index),
            partial: 0,
            unanswered: Unanswered::new(),
            answered: 0,
        }
    }

    /// Requests sent, or about to be, and not answered.
    #[inline]
    pub(crate) fn in_flight(&self) -> u64 {
        self.unanswered.requests()
    }

    /// Bytes of one request and its reply.
    pub(crate) fn exchange_bytes(&self) -> u64 {
        (self.script.requests.message_bytes() + self.script.replies.message_bytes()) as u64
    }

    /// Sends so many requests, whose latency counts from `since_ns`; what the socket does not take waits for `resume`.
    #[inline]
    pub(crate) fn send(&mut self, requests: u64, since_ns: u64) -> Result<()> {
        self.unanswered.add(requests, since_ns);
        let was_blocked = self.unsent > 0;
        self.unsent += requests as usize * self.script.requests.message_bytes();
        if was_blocked { Ok(()) } else { self.resume() }
    }

    /// Sends what waits, as far as the socket takes it.
    #[inline]
    pub(crate) fn resume(&mut self) -> Result<()> {
        while self.unsent > 0 {
            let bytes = self.script.requests.slice(self.send_at, self.unsent.min(self.script.write_bytes));
            match self.stream.write(bytes) {
                Ok(taken) => {
                    self.send_at = self.script.requests.advance(self.send_at, taken);
                    self.unsent -= taken;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("sending"),
            }
        }
        Ok(())
    }

    /// Reads once and checks. Gives back how many replies that completed, and whether there may be more to read: those
    /// replies are to be settled before the next read.
    #[inline]
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Result<(u64, bool)> {
        let len = match self.stream.read(buffer) {
            Ok(0) => bail!("the server closed the connection with {} requests unanswered", self.in_flight()),
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok((0, false)),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok((0, true)),
            Err(error) => return Err(error).context("receiving"),
        };
        let replies = self.script.replies;
        if let Some(at) = replies.mismatch(self.receive_at, &buffer[..len]) {
            let byte = buffer[at];
            let at = self.partial + at;
            let size = replies.message_bytes();
            bail!("wrong byte 0x{byte:02x} at {} of reply {}", at % size, self.answered + (at / size) as u64 + 1);
        }
        self.receive_at = replies.advance(self.receive_at, len);
        // One division is dear where there is one reply a read, as there mostly is.
        let size = replies.message_bytes();
        let whole = self.partial + len;
        let completed = if whole == size { 1 } else { whole / size };
        self.partial = whole - completed * size;
        let completed = completed as u64;
        let in_flight = self.in_flight();
        if completed > in_flight || (completed == in_flight && self.partial > 0) {
            bail!("more came back than was asked for");
        }
        self.answered += completed;
        Ok((completed, len == buffer.len()))
    }

    /// Takes the oldest requests off the list: calls `each` with since when and how many, until `answered` are through.
    #[inline]
    pub(crate) fn settle(&mut self, answered: u64, each: impl FnMut(u64, u64)) {
        self.unanswered.take(answered, each);
    }
}
