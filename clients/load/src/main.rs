//! The command line of `reactor-load`: which kinds of load there are. Knows nothing of how any of them works.

mod clock;
mod connect;
mod connection;
mod content;
mod dial;
mod hold;
mod latency;
mod learn;
mod load;
mod report;
mod rest;
mod run;
mod schedule;
mod unanswered;

use std::process::ExitCode;

use clap::Parser;

/// Puts load on a TCP server, checks every byte that comes back, and says what the server and this program cost.
#[derive(Parser)]
#[command(version)]
enum Task {
    /// Send requests over many connections, as fast as they are answered or at a fixed rate
    Run(run::Args),
    /// Open connections and hold them, idle, until this program is killed
    Hold(hold::Args),
    /// Open connections one by one, and say how long that takes
    Connect(connect::Args),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Run(args) => run::run(&args),
        Task::Hold(args) => hold::run(&args),
        Task::Connect(args) => connect::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("reactor-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}
