//! The pooled demo: what a first server with a thread pool looks like. It echoes, after a compute step of so many ms.
//!
//! The design, which is what is measured: a mio loop, a job for each read in a pool of 12 threads, a channel back, one
//! wake-up for each job, the registration changed to writable for each response and back after it; mio's own bind,
//! whose backlog is short. Knows nothing of libreactor.

use std::collections::HashMap;
use std::env;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use threadpool::ThreadPool;

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
const FIRST: usize = 2;
const THREADS: usize = 12;

struct Client {
    socket: TcpStream,
    /// Replies that the socket has not taken.
    output: Vec<u8>,
    /// Jobs whose results are to come.
    jobs: usize,
    /// Whether the peer has finished sending.
    ended: bool,
}

fn main() -> Result<()> {
    let mut args = env::args().skip(1);
    let address: SocketAddr = args.next().context("usage: demo-pooled ADDRESS [COMPUTE_MS]")?.parse()?;
    let compute = Duration::from_millis(args.next().unwrap_or("0".into()).parse()?);
    let mut listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);

    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let pool = ThreadPool::new(THREADS);
    let (done, results) = channel::<(Token, Vec<u8>)>();
    let mut clients: HashMap<Token, Client> = HashMap::new();
    let mut next = FIRST;
    let mut buffer = vec![0; 64 * 1024];
    let mut events = Events::with_capacity(1024);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            let token = event.token();
            if token == LISTENER {
                while let Ok((mut socket, _)) = listener.accept() {
                    socket.set_nodelay(true)?;
                    poll.registry().register(&mut socket, Token(next), Interest::READABLE)?;
                    clients.insert(Token(next), Client { socket, output: Vec::new(), jobs: 0, ended: false });
                    next += 1;
                }
                continue;
            }
            let Some(client) = clients.get_mut(&token) else { continue };
            if event.is_readable() && !client.ended {
                let Client { socket, jobs, ended, .. } = client;
                *ended = !read(socket, &mut buffer, |bytes| {
                    *jobs += 1;
                    let (bytes, done, waker) = (bytes.to_vec(), done.clone(), Arc::clone(&waker));
                    pool.execute(move || {
                        if !compute.is_zero() {
                            thread::sleep(compute);
                        }
                        // Both fail only where the loop has gone, and the process with it.
                        let _ = done.send((token, bytes));
                        let _ = waker.wake();
                    });
                });
            }
            if event.is_writable() && !client.output.is_empty() {
                if !write(client) {
                    clients.remove(&token);
                    continue;
                }
                if client.output.is_empty() {
                    poll.registry().reregister(&mut client.socket, token, Interest::READABLE)?;
                }
            }
            if client.ended && client.jobs == 0 && client.output.is_empty() {
                clients.remove(&token);
            }
        }
        while let Ok((token, bytes)) = results.try_recv() {
            let Some(client) = clients.get_mut(&token) else { continue };
            if client.output.is_empty() {
                let interests = Interest::READABLE | Interest::WRITABLE;
                poll.registry().reregister(&mut client.socket, token, interests)?;
            }
            client.jobs -= 1;
            client.output.extend_from_slice(&bytes);
        }
    }
}

/// Reads until there is no more, a job for each read; false where the connection has ended.
fn read(socket: &mut TcpStream, buffer: &mut [u8], mut job: impl FnMut(&[u8])) -> bool {
    loop {
        match socket.read(buffer) {
            Ok(0) => return false,
            Ok(len) => job(&buffer[..len]),
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

/// Writes what the socket takes; false where the connection has ended.
fn write(client: &mut Client) -> bool {
    match client.socket.write(&client.output) {
        Ok(len) => {
            client.output.drain(..len);
            true
        }
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}
