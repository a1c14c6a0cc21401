//! `reactor-load hold`: idle connections, to see what they cost the server. Sends nothing but, if asked, one request on
//! each.

use std::io::{Read, Write, stdout};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::content::Block;
use crate::dial::Dialer;

const REPLY_LIMIT: Duration = Duration::from_secs(30);

/// How many, and to whom.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the server listens
    server: SocketAddr,
    /// Connections to hold
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Have each echo one message of 64 bytes first, so that it has been in use
    #[arg(long)]
    touch: bool,
}

/// Opens them, says `holding N`, and holds them until it is killed.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut dialer = Dialer::new(args.server, args.connections)?;
    let block = Block::letters(64)?;
    let mut held = Vec::with_capacity(args.connections);
    for index in 0..args.connections {
        let stream = dialer.open()?;
        if args.touch {
            echo(&stream, &block, index).with_context(|| format!("the message on connection {}", index + 1))?;
        }
        held.push(stream);
    }
    println!("holding {}", held.len());
    stdout().flush()?;
    loop {
        thread::park();
    }
}

fn echo(mut stream: &TcpStream, block: &Block, index: usize) -> Result<()> {
    stream.set_read_timeout(Some(REPLY_LIMIT))?;
    let message = block.slice(block.start_of(index), block.message_bytes());
    stream.write_all(message)?;
    let mut reply = [0; 64];
    stream.read_exact(&mut reply)?;
    if reply != message {
        bail!("what came back is not what was sent");
    }
    Ok(())
}
