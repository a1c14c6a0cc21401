//! `reactor-load connect`: connections one by one, timed. Knows nothing of requests but one echo at the end, which
//! shows that the server has accepted them all.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::dial::Dialer;

const REPLY_LIMIT: Duration = Duration::from_secs(60);

/// How many, and to whom.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the server listens
    server: SocketAddr,
    /// Connections to open, and to keep open until the last is there
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// Opens them all, then has the last one echo a byte: servers accept in order, so all have been accepted by then.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut dialer = Dialer::new(args.server, args.connections)?;
    let mut held = Vec::with_capacity(args.connections);
    let mut longest = Duration::ZERO;
    let begun = Instant::now();
    let mut last = begun;
    for _ in 0..args.connections {
        held.push(dialer.open()?);
        let now = Instant::now();
        longest = longest.max(now - last);
        last = now;
    }
    let connected = last - begun;

    let mut stream = held.last().context("no connections were asked for")?;
    stream.set_read_timeout(Some(REPLY_LIMIT))?;
    stream.write_all(b"?")?;
    let mut reply = [0];
    stream.read_exact(&mut reply).context("waiting for the echo on the last connection")?;
    if reply != *b"?" {
        bail!("what came back is not what was sent");
    }
    let answered = begun.elapsed();
    if args.json {
        let [connected, answered, longest] = [connected, answered, longest].map(|time| time.as_secs_f64());
        println!("{}", json!({ "seconds": connected, "answered_seconds": answered, "longest_seconds": longest }));
    } else {
        println!("{} connections in {connected:.3?}, the last one answered at {answered:.3?}", args.connections);
        println!("the longest took {longest:.3?}");
    }
    Ok(())
}
