//! The single-threaded demo: what a first server on mio looks like. It answers an HTTP request head with a fixed 200.
//!
//! The design, which is what is measured: maps by token, reads of 1 KiB appended to a vector, the whole vector searched
//! again after each of them, the registration changed to writable for each response and back after it. One request at a
//! time: what a client sends before it has its answer is answered as one. Knows nothing of libreactor.

use std::collections::HashMap;
use std::env;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use anyhow::{Context, Result};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(0);
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\
                        Connection: keep-alive\r\n\r\nhello\n";

fn main() -> Result<()> {
    let address: SocketAddr = env::args().nth(1).context("usage: demo-single ADDRESS")?.parse()?;
    let mut listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);

    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut sockets: HashMap<Token, TcpStream> = HashMap::new();
    let mut requests: HashMap<Token, Vec<u8>> = HashMap::new();
    let mut next = 1;
    let mut buffer = [0; 1024];
    let mut events = Events::with_capacity(1024);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            let token = event.token();
            if token == LISTENER {
                while let Ok((mut socket, _)) = listener.accept() {
                    socket.set_nodelay(true)?;
                    poll.registry().register(&mut socket, Token(next), Interest::READABLE)?;
                    sockets.insert(Token(next), socket);
                    requests.insert(Token(next), Vec::with_capacity(192));
                    next += 1;
                }
                continue;
            }
            let (Some(socket), Some(request)) = (sockets.get_mut(&token), requests.get_mut(&token)) else { continue };
            let mut is_open = true;
            if event.is_readable() {
                is_open = read(socket, request, &mut buffer);
                if request.windows(4).any(|window| window == b"\r\n\r\n") {
                    poll.registry().reregister(socket, token, Interest::WRITABLE)?;
                }
            } else if event.is_writable() {
                request.clear();
                is_open = socket.write_all(RESPONSE.as_bytes()).is_ok();
                poll.registry().reregister(socket, token, Interest::READABLE)?;
            }
            if !is_open {
                sockets.remove(&token);
                requests.remove(&token);
            }
        }
    }
}

/// Reads until there is no more; false where the connection has ended.
fn read(socket: &mut TcpStream, request: &mut Vec<u8>, buffer: &mut [u8]) -> bool {
    loop {
        match socket.read(buffer) {
            Ok(0) => return false,
            Ok(len) => request.extend_from_slice(&buffer[..len]),
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}
