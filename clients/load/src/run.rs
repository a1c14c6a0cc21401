//! `reactor-load run`: its command line, and what the messages are. Knows nothing of sockets or of when to send.

use std::io::{Write, stdout};
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};

use crate::connection::Script;
use crate::content::{Block, SlowKind};
use crate::learn;
use crate::load::Load;

/// What the messages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// Messages that come back as they are
    Echo,
    /// The same, each ending in the delimiter
    Delimiter,
    /// HTTP requests; the first reply is what all are compared with
    Http,
}

/// How much of what, and for how long.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the server listens
    pub(crate) server: SocketAddr,
    #[arg(long, value_enum, default_value_t = Mode::Echo)]
    mode: Mode,
    /// What ends a message with --mode delimiter; \r and \n are understood
    #[arg(long, default_value = r"\r\n\r\n")]
    delimiter: String,
    /// Connections, all open before the first request
    #[arg(long, default_value_t = 128)]
    pub(crate) connections: usize,
    /// Bytes of a message, its delimiter included
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Most requests of one connection that are unanswered
    #[arg(long, default_value_t = 1)]
    pub(crate) in_flight: u64,
    /// Requests a second, all connections together; latency then counts from when a request was due. Without it, each
    /// reply brings on the next request
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// How long to measure
    #[arg(long, default_value_t = 5_000)]
    pub(crate) duration_ms: u64,
    /// How many requests to measure; with it, there is no time limit
    #[arg(long)]
    pub(crate) requests: Option<u64>,
    /// How long to run before measuring begins
    #[arg(long, default_value_t = 200)]
    pub(crate) warmup_ms: u64,
    /// Most bytes of one write
    #[arg(long, default_value_t = usize::MAX)]
    write_bytes: usize,
    /// Further connections, whose requests ask the server to take its time
    #[arg(long, default_value_t = 0)]
    pub(crate) slow_connections: usize,
    /// How long each of theirs is to take
    #[arg(long, default_value_t = 100_000)]
    slow_us: u32,
    /// How it is to take that time
    #[arg(long, value_enum, default_value_t = SlowKind::Sleep)]
    slow_kind: SlowKind,
    /// How long a slow connection waits before its next request
    #[arg(long, default_value_t = 0)]
    pub(crate) slow_pause_ms: u64,
    /// Longest rest before polling for replies, so that they gather while most connections wait for the server; 0 is
    /// none. It spares the generator a few per cent, and costs servers that hand work to other threads much more
    #[arg(long, default_value_t = 0)]
    pub(crate) rest_us: u64,
    /// Processes whose CPU time is the server's, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub(crate) server_pid: Vec<i32>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// Runs it, and prints the report; an error if any byte was wrong or missing.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.connections == 0 || args.in_flight == 0 || args.rate.is_some_and(|rate| rate.is_nan() || rate <= 0.0) {
        bail!("--connections, --in-flight and --rate must be above 0");
    }
    let (requests, replies) = content(args)?;
    let replies = replies.as_ref().unwrap_or(&requests);
    let quick = Script { requests: &requests, replies, write_bytes: args.write_bytes.max(1) };
    let slow = Block::slow(args.size.max(64), args.slow_kind, args.slow_us)?;
    let slow = Script { requests: &slow, replies: &slow, ..quick };
    let mut load = Load::open(args, quick, slow)?;
    load.begin()?;
    let report = load.drive()?;
    let text = if args.json { report.json().to_string() } else { report.text() };
    // Not println, which panics where the reader has gone (`| head`).
    writeln!(stdout(), "{text}").context("printing the report")
}

/// The requests, and the replies where those are others: what comes back as it was sent is compared with the very bytes
/// that were sent, which a core's cache has once then.
fn content(args: &Args) -> Result<(Block, Option<Block>)> {
    let delimiter = args.delimiter.replace(r"\r", "\r").replace(r"\n", "\n").into_bytes();
    match args.mode {
        Mode::Echo => Ok((Block::letters(args.size)?, None)),
        Mode::Delimiter => Ok((Block::delimited(args.size, &delimiter)?, None)),
        Mode::Http => {
            let request = learn::http_request(args.server);
            let reply = learn::http_reply(args.server, &request)?;
            Ok((Block::repeated(&request), Some(Block::repeated(&reply))))
        }
    }
}
