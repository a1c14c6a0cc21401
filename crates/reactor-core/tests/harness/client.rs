//! Owns the client of the suites, whose every wait is bounded. Knows nothing of modes and handlers.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use reactor_core::Handle;
use socket2::{Domain, SockRef, Socket, Type};

use super::WAIT;

/// A client whose waits are bounded.
#[derive(Debug)]
pub(crate) struct Client {
    /// For what this client has no words for.
    pub(crate) stream: TcpStream,
}

impl Client {
    pub(crate) fn connect(server: &Handle) -> Client {
        Client::to(server.local_address())
    }

    /// One of the server that listens at `address`.
    pub(crate) fn to(address: &str) -> Client {
        Client::with(TcpStream::connect(address).expect("the server accepts"))
    }

    /// One of a [`narrow`] socket.
    pub(crate) fn connect_narrow(server: &Handle) -> Client {
        let address: SocketAddr = server.local_address().parse().expect("an address with a port");
        let socket = narrow(address);
        socket.connect(&address.into()).expect("the server accepts");
        Client::with(socket.into())
    }

    fn with(stream: TcpStream) -> Client {
        stream.set_nodelay(true).expect("TCP has the option");
        stream.set_read_timeout(Some(WAIT)).expect("a timeout above 0");
        stream.set_write_timeout(Some(WAIT)).expect("a timeout above 0");
        Client { stream }
    }

    /// The same connection, for another thread.
    pub(crate) fn twin(&self) -> Client {
        Client { stream: self.stream.try_clone().expect("a descriptor is left") }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.stream.local_addr().expect("it is connected")
    }

    #[track_caller]
    pub(crate) fn send(&self, bytes: &[u8]) {
        (&self.stream).write_all(bytes).expect("the server takes the bytes in time");
    }

    /// Sends as far as nobody has to wait for it; says how many bytes that were.
    pub(crate) fn send_at_once(&self, bytes: &[u8]) -> usize {
        self.stream.set_nonblocking(true).expect("the option is there");
        let mut sent = 0;
        while sent < bytes.len()
            && let Ok(count) = (&self.stream).write(&bytes[sent..])
        {
            sent += count;
        }
        self.stream.set_nonblocking(false).expect("the option is there");
        sent
    }

    /// Says that nothing more will be sent: FIN.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).expect("it is connected");
    }

    /// Leaves with a reset rather than a FIN (socket(7), SO_LINGER).
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("TCP has the option");
    }

    #[track_caller]
    pub(crate) fn receive(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match (&self.stream).read(&mut bytes[filled..]) {
                Ok(0) => panic!("the end came after {:?}, {filled} bytes of {len}", shown(&bytes[..filled])),
                Ok(count) => filled += count,
                Err(error) => panic!("{error} after {:?}, {filled} bytes of {len}", shown(&bytes[..filled])),
            }
        }
        bytes
    }

    /// What comes up to the FIN.
    pub(crate) fn receive_to_end(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&self.stream).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[track_caller]
    pub(crate) fn expect(&self, bytes: &[u8]) {
        let received = self.receive(bytes.len());
        assert!(received == bytes, "{:?} came where {:?} was due", shown(&received), shown(bytes));
    }

    /// Just these bytes, then the server's FIN.
    #[track_caller]
    pub(crate) fn expect_last(&self, bytes: &[u8]) {
        let received = self.receive_to_end().expect("the server ends it in time, and without a reset");
        assert!(received == bytes, "{:?} came where {:?} and the end were due", shown(&received), shown(bytes));
    }

    #[track_caller]
    pub(crate) fn expect_reset(&self) {
        let error = self.receive_to_end().expect_err("the connection is reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }

    /// Nothing has arrived yet.
    #[track_caller]
    pub(crate) fn expect_nothing(&self) {
        self.stream.set_nonblocking(true).expect("the option is there");
        let found = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).expect("the option is there");
        let error = found.expect_err("nothing has arrived");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }

    /// Sends a line and expects it back.
    #[track_caller]
    pub(crate) fn ping(&self, line: &[u8]) {
        self.send(line);
        self.expect(line);
    }

    /// Whether the server took the connection and echoes on it.
    pub(crate) fn is_echoed(&self, bytes: &[u8]) -> bool {
        let mut echo = vec![0; bytes.len()];
        (&self.stream).write_all(bytes).is_ok() && (&self.stream).read_exact(&mut echo).is_ok() && echo == bytes
    }
}

/// The first bytes, for messages.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(100)]).into_owned()
}

/// A socket whose system, as that of the server, takes little that it does not read: what the server's keeps depends on how
/// many segments may be under way, and on their size, which is 64 KiB on loopback.
pub(crate) fn narrow(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("descriptors are left");
    socket.set_recv_buffer_size(16 * 1024).expect("a buffer may be small");
    socket.set_tcp_mss(1460).expect("TCP has the option");
    socket
}
