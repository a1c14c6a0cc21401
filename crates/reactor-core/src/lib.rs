//! The engine of libreactor: a TCP server that any language can embed. The user brings a [`Handler`], bytes in and bytes
//! out; the engine brings accept, read, framing, ordering, backpressure and drain, on one thread, with a pool of
//! workers, or with many reactors.
//!
//! It knows nothing of C, of Node, of the environment or of standard output: the bindings are built on it.

#![forbid(unsafe_code)]
#![cfg_attr(
    any(test, feature = "fuzzing"),
    expect(dead_code, reason = "where a part stands in for another, or is built for a fuzzer, not all is used")
)]
#![cfg_attr(any(all(test, not(loom)), feature = "fuzzing"), expect(unused_imports, reason = "as above"))]

// Unit tests run the loop over a simulated network, clock and crew of workers: see `simulation`.
#[cfg(all(test, not(loom)))]
extern crate nix as real_nix;
#[cfg(all(test, not(loom)))]
extern crate self as mio;
#[cfg(all(test, not(loom)))]
extern crate self as nix;
#[cfg(all(test, not(loom)))]
extern crate self as socket2;
#[cfg(all(test, not(loom)))]
use simulation::{
    net::Socket,
    os::{errno, libc, sys},
    poller::{Events, Interest, Poll, Registry, Token, Waker, event, unix},
};

mod address;
mod batch;
mod budget;
mod call;
mod config;
mod conn_id;
mod connection;
#[cfg(any(test, feature = "fuzzing"))]
mod connection_driver;
#[cfg(any(test, feature = "fuzzing"))]
mod connection_model;
#[cfg(any(test, feature = "fuzzing"))]
mod connection_properties;
#[cfg_attr(all(test, not(loom)), path = "simulation/crew.rs")]
mod crew;
#[cfg(test)]
mod deadline_properties;
mod deferred;
mod error;
mod event_loop;
mod framing;
#[cfg(any(test, feature = "fuzzing"))]
mod framing_properties;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod handler;
mod heap_trim;
#[cfg_attr(all(test, not(loom)), path = "simulation/listener.rs")]
mod listener;
mod mailbox;
#[cfg(all(test, loom))]
mod models;
mod options;
mod ordering;
mod output;
mod push;
mod requests;
mod run;
#[cfg(test)]
mod run_properties;
mod scene;
mod server;
mod shared;
#[cfg(any(test, feature = "fuzzing"))]
mod simulated_hosts;
#[cfg(all(test, not(loom)))]
mod simulation;
mod slots;
mod stats;
#[cfg_attr(all(test, not(loom)), path = "simulation/stop.rs")]
mod stop;
mod sync;
mod timers;
#[cfg(any(test, feature = "fuzzing"))]
mod worker_simulation;
#[cfg_attr(all(test, not(loom)), path = "simulation/workers.rs")]
mod workers;

pub use batch::Batch;
pub use conn_id::ConnId;
pub use deferred::Deferred;
pub use error::{Error, ErrorKind};
pub use handler::{CloseReason, Failed, FrameEnd, Handler, Peer, Reply};
pub use options::{Framing, Mode, Options, Order};
pub use server::{DrainReport, Ended, Handle, Server};
pub use stats::Stats;
