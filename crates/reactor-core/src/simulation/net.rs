//! Owns the simulated sockets of one run: what has arrived, what was sent, what the peer's window still takes, and which
//! call fails with what. A read gives what has arrived and a write takes what there is room for, as a stream socket's do;
//! bytes may arrive, and room may appear, between any two calls. Knows nothing of what the bytes mean.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use crate::simulation::clock;
use crate::simulation::dice::{pick, rarely};
use crate::simulation::story::tell;

const ECONNRESET: i32 = 104;
const EPIPE: i32 = 32;
const ENOBUFS: i32 = 105;
const EINTR: i32 = 4;

/// So many calls without a poll in between, and the loop is taken to spin.
const SPIN_CALLS: u32 = 200_000;

/// One connection as the system sees it; its number is its descriptor, its client's number, and its place in the table.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// All that the peer will ever send, how much of it has arrived, and how much was read.
    pub(crate) stream: Vec<u8>,
    pub(crate) arrived: usize,
    pub(crate) taken: usize,
    /// As above, before the server's FIN: what it throws away later counts for nothing.
    pub(crate) read_open: usize,
    /// When bytes were read: the place after them in the stream, and the time.
    pub(crate) reads: Vec<(usize, u64)>,
    /// The peer's FIN has arrived, and was read.
    pub(crate) fin: bool,
    pub(crate) fin_read: bool,
    /// The peer's reset has arrived; its error was reported.
    pub(crate) reset: bool,
    pub(crate) reset_told: bool,
    /// A call has failed for another reason.
    pub(crate) failed: bool,
    /// A read ends here, once: out-of-band bytes do that.
    mark: Option<usize>,
    /// All that was sent, and how much more the peer's window takes.
    pub(crate) sent: Vec<u8>,
    pub(crate) room: usize,
    /// A write took less than it was given: an event comes with the next room.
    pub(crate) starved: bool,
    /// When the peer last took a byte, and when a write was last refused.
    pub(crate) took_ms: u64,
    pub(crate) starved_ms: u64,
    pub(crate) write_shut: bool,
    pub(crate) closed: bool,
    /// It was closed with bytes unread, or by a reset.
    pub(crate) cut: bool,
    pub(crate) accepted: bool,
    token: Option<usize>,
    /// Something has changed since the last event.
    edge: bool,
}

/// What the poller says of a socket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Readiness {
    pub(crate) token: usize,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) read_closed: bool,
    pub(crate) error: bool,
    pub(crate) priority: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Net {
    pub(crate) wires: Vec<Wire>,
    calls: u32,
}

thread_local! {
    static NET: RefCell<Net> = RefCell::default();
}

/// Looks at the network, and changes it.
pub(crate) fn with<T>(look: impl FnOnce(&mut Net) -> T) -> T {
    NET.with_borrow_mut(look)
}

impl Wire {
    /// A client that has not connected; its window takes `room` bytes before it reads.
    pub(crate) fn new(stream: &[u8], room: usize) -> Wire {
        Wire { stream: stream.to_vec(), room, ..Wire::default() }
    }
}

impl Net {
    pub(crate) fn new(wires: Vec<Wire>) -> Net {
        Net { wires, calls: 0 }
    }

    /// An event is due for the wire, if anybody listens.
    pub(crate) fn touch(&mut self, client: usize) {
        self.wires[client].edge = true;
    }

    /// The peer's bytes arrive.
    pub(crate) fn arrive(&mut self, client: usize, count: usize) -> usize {
        let wire = &mut self.wires[client];
        let count = if wire.fin || wire.reset { 0 } else { count.min(wire.stream.len() - wire.arrived) };
        wire.arrived += count;
        wire.edge |= count > 0;
        count
    }

    /// The peer takes bytes: there is room for as many more.
    pub(crate) fn drain(&mut self, client: usize, count: usize) {
        let wire = &mut self.wires[client];
        wire.room += count;
        wire.edge |= wire.starved;
    }

    /// Out-of-band bytes stand behind what has arrived.
    pub(crate) fn mark(&mut self, client: usize) {
        let wire = &mut self.wires[client];
        wire.mark = Some(wire.taken + (wire.arrived - wire.taken) / 2);
        wire.edge = true;
    }

    /// Takes the event of a wire, where there is one.
    pub(crate) fn event(&mut self, client: usize) -> Option<Readiness> {
        let wire = &mut self.wires[client];
        let token = wire.token.filter(|_| wire.edge && !wire.closed)?;
        wire.edge = false;
        let readable = wire.arrived > wire.taken || wire.fin || wire.reset;
        let writable = wire.room > 0 || wire.reset;
        if wire.room > 0 {
            wire.starved = false;
        }
        let read_closed = wire.reset || wire.fin;
        let error = wire.reset && !wire.reset_told;
        Some(Readiness { token, readable, writable, read_closed, error, priority: wire.mark.is_some() })
    }

    pub(crate) fn has_event(&self, client: usize) -> bool {
        let wire = &self.wires[client];
        wire.edge && wire.token.is_some() && !wire.closed
    }

    /// Before each call: something may happen meanwhile.
    fn meanwhile(&mut self, client: usize) {
        self.calls += 1;
        if self.calls > SPIN_CALLS {
            crate::simulation::world::fail("the loop spins: it calls and calls, and never polls".to_owned());
            std::panic::resume_unwind(Box::new("spinning"));
        }
        if rarely(12) {
            let count = self.arrive(client, 1 + pick(7));
            if count > 0 {
                tell(|| format!("meanwhile {count} more bytes of client {client} arrive"));
            }
        }
        if rarely(16) {
            self.drain(client, 1 + pick(7));
        }
    }

    pub(crate) fn polled(&mut self) {
        self.calls = 0;
    }

    fn read(&mut self, client: usize, buffer: &mut [u8], peek: bool) -> io::Result<usize> {
        self.meanwhile(client);
        let what = if peek { "looks at" } else { "reads" };
        if rarely(12) {
            tell(|| format!("the server {what} client {client}: EINTR"));
            return Err(io::Error::from_raw_os_error(EINTR));
        }
        let wire = &mut self.wires[client];
        let end = wire.mark.filter(|mark| *mark > wire.taken).unwrap_or(wire.arrived).min(wire.arrived);
        let count = buffer.len().min(end - wire.taken);
        if count > 0 {
            buffer[..count].copy_from_slice(&wire.stream[wire.taken..wire.taken + count]);
            // What stands behind is whatever an earlier read left: nobody may look.
            if !peek {
                wire.taken += count;
                wire.read_open = if wire.write_shut { wire.read_open } else { wire.taken };
                wire.reads.push((wire.taken, clock::now_ms()));
                wire.mark.take_if(|mark| *mark <= wire.taken);
            }
            tell(|| format!("the server {what} {count} bytes of client {client}"));
            return Ok(count);
        }
        wire.mark = None;
        if wire.reset && !wire.reset_told {
            wire.reset_told |= !peek;
            tell(|| format!("the server {what} client {client}: ECONNRESET"));
            return Err(io::Error::from_raw_os_error(ECONNRESET));
        }
        if wire.fin || wire.reset {
            wire.fin_read |= !peek;
            tell(|| format!("the server {what} client {client}: end of input"));
            return Ok(0);
        }
        tell(|| format!("the server {what} client {client}: EAGAIN"));
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, client: usize, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.meanwhile(client);
        if rarely(12) {
            tell(|| format!("the server writes to client {client}: EINTR"));
            return Err(io::Error::from_raw_os_error(EINTR));
        }
        let wire = &mut self.wires[client];
        let refusal = if wire.reset && !wire.reset_told {
            wire.reset_told = true;
            Some((ECONNRESET, "ECONNRESET"))
        } else if wire.reset || wire.write_shut {
            Some((EPIPE, "EPIPE"))
        } else if rarely(1000) {
            wire.failed = true;
            Some((ENOBUFS, "ENOBUFS"))
        } else {
            None
        };
        if let Some((errno, name)) = refusal {
            if wire.write_shut {
                crate::simulation::world::fail(format!("the server writes to client {client} after its own FIN"));
            }
            tell(|| format!("the server writes to client {client}: {name}"));
            return Err(io::Error::from_raw_os_error(errno));
        }
        let asked: usize = slices.iter().map(|slice| slice.len()).sum();
        let count = asked.min(wire.room).min(if rarely(6) { 1 + pick(7) } else { usize::MAX });
        if count < asked && !std::mem::replace(&mut wire.starved, count < asked) {
            wire.starved_ms = clock::now_ms();
        }
        if count == 0 {
            tell(|| format!("the server writes to client {client}: EAGAIN"));
            return Err(io::ErrorKind::WouldBlock.into());
        }
        wire.room -= count;
        // A call that took less while there was room left has used up the room of a system that is short of memory.
        wire.edge |= wire.starved && wire.room > 0;
        let mut left = count;
        for slice in slices {
            let part = left.min(slice.len());
            wire.sent.extend_from_slice(&slice[..part]);
            left -= part;
        }
        wire.took_ms = clock::now_ms();
        tell(|| format!("the server writes to client {client}: {count} of {asked} bytes taken"));
        Ok(count)
    }
}

/// A socket of the server's side.
#[derive(Debug)]
pub(crate) struct Socket(RawFd);

impl Socket {
    /// The server's end of this client's connection.
    pub(crate) fn of(client: usize) -> Socket {
        Socket(client as RawFd)
    }

    fn client(&self) -> usize {
        self.0 as usize
    }

    pub(crate) fn send_with_flags(&self, bytes: &[u8], _flags: i32) -> io::Result<usize> {
        with(|net| net.write(self.client(), &[IoSlice::new(bytes)]))
    }

    pub(crate) fn send_vectored_with_flags(&self, slices: &[IoSlice<'_>], _flags: i32) -> io::Result<usize> {
        with(|net| net.write(self.client(), slices))
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        with(|net| {
            let wire = &mut net.wires[self.client()];
            let error = wire.reset && !std::mem::replace(&mut wire.reset_told, true);
            Ok(error.then(|| io::Error::from_raw_os_error(ECONNRESET)))
        })
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        assert_eq!(how, Shutdown::Write, "the read side is closed with the socket only");
        tell(|| format!("the server sends its FIN to client {}", self.client()));
        with(|net| net.wires[self.client()].write_shut = true);
        Ok(())
    }

    pub(crate) fn set_linger(&self, _time: Option<Duration>) -> io::Result<()> {
        with(|net| net.wires[self.client()].cut = true);
        Ok(())
    }
}

impl Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        with(|net| net.read(self.client(), buffer, false))
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        tell(|| format!("the server closes its socket of client {}", self.client()));
        with(|net| {
            if let Some(wire) = net.wires.get_mut(self.client()) {
                wire.closed = true;
                wire.cut |= wire.arrived > wire.taken;
            }
        });
    }
}

/// Looks at what could be read.
pub(crate) fn peek(fd: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    with(|net| net.read(fd as usize, buffer, true))
}

/// The poller is told of a socket.
pub(crate) fn register(fd: RawFd, token: usize) -> io::Result<()> {
    with(|net| {
        let wire = &mut net.wires[fd as usize];
        if rarely(300) {
            wire.failed = true;
            return Err(io::Error::from_raw_os_error(ENOBUFS));
        }
        wire.token = Some(token);
        wire.edge = true;
        Ok(())
    })
}
