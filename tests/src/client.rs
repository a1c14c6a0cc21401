//! Owns one client connection and the bytes that tests send. Knows nothing of what the server does with them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::libc;
use socket2::SockRef;

use crate::{DEADLINE, wait_until};

/// A connection whose reads and writes each end at the deadline, and which sends at once what it is given.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
}

impl Client {
    /// # Panics
    /// Where the connection is refused.
    #[must_use]
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect_timeout(&address, DEADLINE);
        let stream = stream.unwrap_or_else(|error| panic!("connecting to {address}: {error}"));
        let set_up = stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(DEADLINE)))
            .and_then(|()| stream.set_write_timeout(Some(DEADLINE)));
        set_up.expect("a stream that has just connected takes its options");
        Client { stream }
    }

    /// A second hand on the same connection, for another thread.
    ///
    /// # Panics
    /// Where descriptors have run out.
    #[must_use]
    pub fn another_hand(&self) -> Client {
        Client { stream: self.stream.try_clone().expect("the tests use far fewer descriptors than the limit") }
    }

    /// The stream itself, for a test that expects an error of it.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends all of `bytes`.
    ///
    /// # Panics
    /// Where the server does not take them.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap_or_else(|error| panic!("sending {} bytes: {error}", bytes.len()));
    }

    /// Ends our side: no more requests.
    ///
    /// # Panics
    /// Where the connection is gone.
    pub fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("the connection stands, since the test still uses it");
    }

    /// Exactly the next `count` bytes.
    ///
    /// # Panics
    /// Where the server ends the connection before, or is too late.
    #[must_use]
    pub fn receive(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let mut have = 0;
        while have < count {
            match self.stream.read(&mut bytes[have..]) {
                Ok(0) => panic!("the connection ended after {have} of {count} bytes"),
                Ok(read) => have += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("receiving, after {have} of {count} bytes: {error}"),
            }
        }
        bytes
    }

    /// The next bytes, at least one and at most `limit`, up to and with `end`.
    ///
    /// # Panics
    /// Where `end` does not come.
    #[must_use]
    pub fn receive_until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end) {
            bytes.extend(self.receive(1));
        }
        bytes
    }

    /// All that comes before the server's FIN.
    ///
    /// # Panics
    /// Where the connection is reset, or the FIN is too late.
    #[must_use]
    pub fn receive_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = self.stream.read_to_end(&mut bytes);
        read.unwrap_or_else(|error| panic!("receiving, after {} bytes: {error}", bytes.len()));
        bytes
    }

    /// Asserts that the server's FIN comes next.
    ///
    /// # Panics
    /// Where something else comes, or nothing.
    pub fn expect_end(&mut self) {
        let bytes = self.receive_to_end();
        assert!(bytes.is_empty(), "{} bytes too many: '{}'", bytes.len(), bytes.escape_ascii());
    }

    /// Asserts that nothing has come from the server: no byte and no end.
    ///
    /// # Panics
    /// Where something has.
    pub fn expect_nothing_yet(&self) {
        self.stream.set_nonblocking(true).expect("the stream is open");
        let mut byte = [0];
        let peeked = self.stream.peek(&mut byte);
        self.stream.set_nonblocking(false).expect("the stream is open");
        let nothing = matches!(&peeked, Err(error) if error.kind() == ErrorKind::WouldBlock);
        assert!(nothing, "the server was to be silent, and is not: {peeked:?}");
    }

    /// Sends `request` and asserts that `reply` comes back.
    ///
    /// # Panics
    /// Where something else comes.
    pub fn ask(&mut self, request: &[u8], reply: &[u8]) {
        self.send(request);
        let received = self.receive(reply.len());
        assert_same_bytes(&received, reply);
    }

    /// Sends `bytes`, ends our side, and returns all that comes back, while it comes: neither side waits for the other to
    /// be done.
    ///
    /// # Panics
    /// Where the connection does not end well.
    #[must_use]
    pub fn exchange(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut writer = self.another_hand();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                writer.send(bytes);
                writer.finish();
            });
            self.receive_to_end()
        })
    }

    /// Waits until the server's kernel has all that was sent; whether the server itself has read it is another matter.
    ///
    /// # Panics
    /// At the deadline.
    pub fn wait_until_delivered(&self) {
        wait_until("the peer to acknowledge what was sent", || self.unacknowledged_bytes() == 0);
    }

    fn unacknowledged_bytes(&self) -> libc::c_int {
        let mut count: libc::c_int = 0;
        // SAFETY: tcp(7), SIOCOUTQ (which is TIOCOUTQ): the descriptor is an open socket for as long as `self` lives, and
        // the call writes one int, to a place that is one.
        let result = unsafe { libc::ioctl(self.stream.as_raw_fd(), libc::TIOCOUTQ, &mut count) };
        assert_eq!(result, 0, "SIOCOUTQ: {}", std::io::Error::last_os_error());
        count
    }

    /// Asserts that the server ends the connection without a byte, be it with a FIN or, since it read nothing of what we
    /// sent, with a reset.
    ///
    /// # Panics
    /// Where a byte comes, or no end.
    pub fn expect_dropped(&mut self) {
        let mut bytes = [0; 64];
        match self.stream.read(&mut bytes) {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("the connection was to be dropped, and there is {other:?}"),
        }
    }

    /// Ends the connection with a reset, whatever is under way.
    ///
    /// # Panics
    /// Never, in practice.
    pub fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("any socket takes SO_LINGER");
    }
}

/// `count` bytes that look random and are the same for the same `seed` (xorshift64, Marsaglia 2003).
#[must_use]
pub fn pseudo_random_bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

/// The `count` bytes that `tests/c/commands.c` answers: a to z, again and again.
#[must_use]
pub fn alphabet(count: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(count).collect()
}

/// As `assert_eq`, without printing megabytes.
///
/// # Panics
/// Where they differ; says where first.
pub fn assert_same_bytes(received: &[u8], expected: &[u8]) {
    if let Some(at) = received.iter().zip(expected).position(|(a, b)| a != b) {
        let end = received.len().min(expected.len()).min(at + 40);
        let (got, due) = (received[at..end].escape_ascii(), expected[at..end].escape_ascii());
        panic!("byte {at} of {} differs: '{got}' instead of '{due}'", expected.len());
    }
    assert_eq!(received.len(), expected.len(), "the bytes agree as far as they go, but not in their number");
}
