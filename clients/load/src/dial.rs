//! Opens connections. Knows nothing of what is sent over them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections from one source address, before the next is used: an address has some 28 000 ephemeral ports
/// (ip_local_port_range, ip(7)), of which others may want a few.
const PER_SOURCE: usize = 20_000;
/// Longer than a SYN that is sent anew four times, as happens where a backlog overflows (1 + 2 + 4 + 8 s).
const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// Opens connections to one address, as many as descriptors and ports allow.
pub(crate) struct Dialer {
    server: SocketAddr,
    opened: usize,
    /// Whether sources must be spread over 127.0.0.2 and on.
    many: bool,
}

impl Dialer {
    /// To open so many. Raises this process's limit of descriptors as far as the system lets it.
    pub(crate) fn new(server: SocketAddr, planned: usize) -> Result<Dialer> {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("reading the limit of descriptors")?;
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raising the limit of descriptors")?;
        Ok(Dialer { server, opened: 0, many: planned > PER_SOURCE })
    }

    /// One more, connected, blocking; small writes leave at once.
    pub(crate) fn open(&mut self) -> Result<TcpStream> {
        let number = self.opened + 1;
        let stream = self.dial().with_context(|| format!("connection {number} to {}", self.server))?;
        self.opened = number;
        Ok(stream)
    }

    fn dial(&self) -> Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(self.server), Type::STREAM, Some(Protocol::TCP))?;
        if let Some(source) = self.source() {
            // The port is then picked at connect, so that one port may serve several peers (ip(7)).
            socket.bind(&SocketAddr::new(source, 0).into()).with_context(|| format!("binding {source}"))?;
        }
        socket.connect_timeout(&self.server.into(), CONNECT_LIMIT)?;
        socket.set_tcp_nodelay(true)?;
        // Always there (tcp(7)), and the cheapest: on loopback there is no congestion to be clever about. What the
        // server sends with is the system's own choice.
        socket.set_tcp_congestion(b"reno").context("choosing the congestion control")?;
        Ok(socket.into())
    }

    fn source(&self) -> Option<IpAddr> {
        if !self.many || !self.server.ip().is_loopback() || !self.server.is_ipv4() {
            return None;
        }
        let last = u8::try_from(2 + self.opened / PER_SOURCE).ok()?;
        Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)))
    }
}
