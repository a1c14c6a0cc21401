//! Owns the listening socket: bind, accept, and which accept errors mean what. Knows nothing of connections.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mio::event::Source;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

use crate::address::Address;
use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::handler::Peer;

/// A socket that accepts.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Accepting,
    local: String,
}

#[derive(Debug)]
enum Accepting {
    Tcp(mio::net::TcpListener),
    Unix(mio::net::UnixListener, #[expect(dead_code, reason = "its drop removes the file")] SocketFile),
}

/// What one call of accept came to.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// A connection, non-blocking.
    Connection(Socket, Peer),
    /// This one was lost in the queue; there may be others.
    Lost(io::Error),
    /// The queue is empty.
    Empty,
    /// Descriptors or memory have run out: try again in a while, whatever the poller says.
    Exhausted(io::Error),
}

impl Listener {
    /// Binds and listens at the first of the addresses that can be bound.
    pub(crate) fn bind(address: &Address, config: &Config) -> Result<Self, Error> {
        match address {
            Address::Tcp(addresses) => {
                let mut failure = None;
                for address in addresses {
                    match bind_tcp(*address, config) {
                        Ok(listener) => return Ok(listener),
                        Err(error) => failure = failure.or(Some(error)),
                    }
                }
                Err(failure.unwrap_or_else(|| Error::new(ErrorKind::InvalidAddress, "there is no address to bind")))
            }
            Address::Unix(path) => bind_unix(path, config),
        }
    }

    /// Where it listens: `HOST:PORT` with the port that was picked, or `unix:PATH`.
    pub(crate) fn local_address(&self) -> &str {
        &self.local
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.socket {
            Accepting::Tcp(listener) => listener.register(registry, token, Interest::READABLE),
            Accepting::Unix(listener, _) => listener.register(registry, token, Interest::READABLE),
        }
    }

    /// Takes the next connection from the queue.
    pub(crate) fn accept(&self) -> Accepted {
        let accepted = match &self.socket {
            Accepting::Tcp(listener) => listener.accept().map(|(stream, peer)| {
                let fd = OwnedFd::from(std::net::TcpStream::from(stream));
                (Socket::from(fd), Peer(Some(peer)))
            }),
            Accepting::Unix(listener, _) => listener.accept().map(|(stream, _)| {
                let fd = OwnedFd::from(UnixStream::from(stream));
                (Socket::from(fd), Peer(None))
            }),
        };
        match accepted {
            Ok((socket, peer)) => Accepted::Connection(socket, peer),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Accepted::Empty,
            Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => Accepted::Exhausted(error),
                // Errors of the connection that was about to be accepted: accept(2), "Error handling".
                Some(
                    Errno::ECONNABORTED
                    | Errno::EINTR
                    | Errno::EPROTO
                    | Errno::ENETDOWN
                    | Errno::ENOPROTOOPT
                    | Errno::EHOSTDOWN
                    | Errno::EHOSTUNREACH
                    | Errno::EOPNOTSUPP
                    | Errno::ENETUNREACH
                    | Errno::ETIMEDOUT
                    | Errno::EPERM,
                ) => Accepted::Lost(error),
                // Whatever it is, neither stop the server for it nor spin.
                Some(_) | None => Accepted::Exhausted(error),
            },
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Accepting::Tcp(listener) => listener.as_fd(),
            Accepting::Unix(listener, _) => listener.as_fd(),
        }
    }
}

fn bind_tcp(address: SocketAddr, config: &Config) -> Result<Listener, Error> {
    let tried = |what: &str, error| Error::os(format!("{what} {address}"), error);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))
        .map_err(|error| tried("making a socket for", error))?;
    prepare(&socket, address, config).map_err(|error| tried("setting up a socket for", error))?;
    socket.bind(&address.into()).map_err(|error| tried("binding", error))?;
    // mio's own bind has a backlog that a burst of connects overflows, and a dropped SYN costs its client a second.
    socket.listen(config.backlog).map_err(|error| tried("listening on", error))?;
    let local = socket.local_addr().ok().and_then(|local| local.as_socket()).unwrap_or(address);
    let listener = mio::net::TcpListener::from_std(std::net::TcpListener::from(OwnedFd::from(socket)));
    Ok(Listener { socket: Accepting::Tcp(listener), local: local.to_string() })
}

fn prepare(socket: &Socket, address: SocketAddr, config: &Config) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    // A restart must not wait for the connections of its predecessor to leave TIME_WAIT (socket(7)).
    socket.set_reuse_address(true)?;
    if config.reuse_port {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Accepted sockets inherit these, so that accepting costs no further call (tcp(7): options set on the listener).
    if config.nodelay {
        socket.set_tcp_nodelay(true)?;
    }
    if config.keepalive_s > 0 {
        let time = Duration::from_secs(config.keepalive_s.into());
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(time))?;
    }
    Ok(())
}

fn bind_unix(path: &Path, config: &Config) -> Result<Listener, Error> {
    let name = path.display();
    let address = SockAddr::unix(path)
        .map_err(|error| Error::new(ErrorKind::InvalidAddress, format!("address \"unix:{name}\": {error}")))?;
    let tried = |what: &str, error| Error::os(format!("{what} unix:{name}"), error);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(|error| tried("making a socket for", error))?;
    socket.set_nonblocking(true).map_err(|error| tried("setting up a socket for", error))?;
    if let Err(error) = socket.bind(&address) {
        if error.kind() != io::ErrorKind::AddrInUse {
            return Err(tried("binding", error));
        }
        remove_stale(path, &address)?;
        socket.bind(&address).map_err(|error| tried("binding", error))?;
    }
    let file = SocketFile::new(path).map_err(|error| tried("looking at the socket file of", error))?;
    // Nobody can connect before listen, so the file never stands open with other permissions.
    fs::set_permissions(path, fs::Permissions::from_mode(config.unix_mode))
        .map_err(|error| tried("setting the permissions of", error))?;
    socket.listen(config.backlog).map_err(|error| tried("listening on", error))?;
    let listener = std::os::unix::net::UnixListener::from(OwnedFd::from(socket));
    let socket = Accepting::Unix(mio::net::UnixListener::from_std(listener), file);
    Ok(Listener { socket, local: format!("unix:{name}") })
}

/// Removes the socket file of a server that has died, and nothing else.
fn remove_stale(path: &Path, address: &SockAddr) -> Result<(), Error> {
    let in_use = |why: &str| Error::new(ErrorKind::AddressInUse, format!("binding unix:{}: {why}", path.display()));
    let found =
        fs::symlink_metadata(path).map_err(|error| Error::os(format!("looking at {}", path.display()), error))?;
    if !found.file_type().is_socket() {
        return Err(in_use("a file that is no socket is in its place"));
    }
    match is_refused(address) {
        Ok(true) => {}
        Ok(false) => return Err(in_use("another server listens there")),
        Err(error) => return Err(in_use(&format!("asking whether another server listens there: {error}"))),
    }
    log::info!("removing {}, the socket file of a server that has ended", path.display());
    fs::remove_file(path)
        .map_err(|error| Error::os(format!("removing the stale socket file {}", path.display()), error))
}

/// Whether nobody listens there. It does not wait where somebody does who accepts nothing: then connect(2) is EAGAIN on
/// Linux, EINPROGRESS elsewhere.
fn is_refused(address: &SockAddr) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(address) {
        Ok(()) => Ok(false),
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ECONNREFUSED) => Ok(true),
            Some(Errno::EAGAIN | Errno::EINPROGRESS) => Ok(false),
            Some(_) | None => Err(error),
        },
    }
}

/// Our socket file: removed at the end, unless another has taken its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        // The working directory may change before the end.
        let path = std::path::absolute(path)?;
        Ok(SocketFile { path, device: found.dev(), inode: found.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours =
            fs::symlink_metadata(&self.path).is_ok_and(|found| found.dev() == self.device && found.ino() == self.inode);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            log::warn!("removing the socket file {}: {error}", self.path.display());
        }
    }
}
