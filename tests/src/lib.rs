//! The harness of the end-to-end suites: builds and starts servers as child processes, talks to them over loopback
//! sockets, stops them and reads their reports. Must know nothing of the core's Rust API: a suite sees a server as its
//! users do, through its sockets, its output and its exit status.
//!
//! Every wait here ends at [`DEADLINE`]; none is a sleep of a guessed length.

use std::time::Duration;

mod build;
mod child;
mod client;
pub mod faults;
pub mod load;
mod modes;
mod node;
pub mod peers;
mod process;
mod server;
mod turns;

pub use build::root;
pub use client::{Client, alphabet, assert_same_bytes, pseudo_random_bytes};
pub use modes::Mode;
pub use process::{Thread, descriptors, sockets, threads};
pub use server::{
    Report, Server, Stopped, assert_closed, failing_example, failing_example_in, run_program, run_program_in,
};
pub use turns::{alone, wait_until};

/// How long anything may take before a test calls it lost. Generous: a passing test never waits for it.
pub const DEADLINE: Duration = Duration::from_secs(30);
