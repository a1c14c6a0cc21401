//! One connection: sends requests, checks what comes back, knows which requests are unanswered and since when. Knows
//! nothing of other connections, of polling or of when to send.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;

use crate::content::Block;

/// What is sent and what is to come back for it.
#[derive(Clone, Copy)]
pub(crate) struct Script<'a> {
    pub(crate) requests: &'a Block,
    pub(crate) replies: &'a Block,
    /// Most bytes of one write.
    pub(crate) write_bytes: usize,
}

/// Requests that count from the same moment.
struct Batch {
    since_ns: u64,
    requests: u64,
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
    unanswered: VecDeque<Batch>,
    in_flight: u64,
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
            unanswered: VecDeque::new(),
            in_flight: 0,
            answered: 0,
        }
    }

    /// Requests sent, or about to be, and not answered.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Bytes of one request and its reply.
    pub(crate) fn exchange_bytes(&self) -> u64 {
        (self.script.requests.message_bytes() + self.script.replies.message_bytes()) as u64
    }

    /// Sends so many requests, whose latency counts from `since_ns`; what the socket does not take waits for `resume`.
    pub(crate) fn send(&mut self, requests: u64, since_ns: u64) -> Result<()> {
        match self.unanswered.back_mut() {
            Some(last) if last.since_ns == since_ns => last.requests += requests,
            Some(_) | None => self.unanswered.push_back(Batch { since_ns, requests }),
        }
        self.in_flight += requests;
        let was_blocked = self.unsent > 0;
        self.unsent += requests as usize * self.script.requests.message_bytes();
        if was_blocked { Ok(()) } else { self.resume() }
    }

    /// Sends what waits, as far as the socket takes it.
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

    /// Reads once and checks. Gives back how many replies that completed, and whether there may be more to read.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Result<(u64, bool)> {
        let len = match self.stream.read(buffer) {
            Ok(0) => bail!("the server closed the connection with {} requests unanswered", self.in_flight),
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
        if completed > self.in_flight || (completed == self.in_flight && self.partial > 0) {
            bail!("more came back than was asked for");
        }
        self.in_flight -= completed;
        self.answered += completed;
        Ok((completed, len == buffer.len()))
    }

    /// Takes the oldest requests off the list: calls `each` with since when and how many, until `answered` are through.
    pub(crate) fn settle(&mut self, mut answered: u64, mut each: impl FnMut(u64, u64)) {
        while answered > 0 {
            let Some(batch) = self.unanswered.front_mut() else { return };
            let some = batch.requests.min(answered);
            each(batch.since_ns, some);
            answered -= some;
            batch.requests -= some;
            if batch.requests == 0 {
                self.unanswered.pop_front();
            }
        }
    }
}
