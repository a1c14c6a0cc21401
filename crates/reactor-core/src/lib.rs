//! The engine of libreactor: a TCP server that any language can embed. The user brings a [`Handler`], bytes in and bytes
//! out; the engine brings accept, read, framing, ordering, backpressure and drain, on one thread, with a pool of
//! workers, or with many reactors.
//!
//! It knows nothing of C, of Node, of the environment or of standard output: the bindings are built on it.

#![forbid(unsafe_code)]

mod address;
mod budget;
mod call;
mod config;
mod conn_id;
mod connection;
#[cfg(test)]
mod connection_driver;
#[cfg(test)]
mod connection_model;
#[cfg(test)]
mod connection_properties;
mod crew;
#[cfg(test)]
mod deadline_properties;
mod deferred;
mod error;
mod event_loop;
mod framing;
#[cfg(test)]
mod framing_properties;
mod handler;
mod listener;
mod mailbox;
mod options;
mod ordering;
mod output;
mod push;
mod run;
#[cfg(test)]
mod run_properties;
mod scene;
mod server;
mod shared;
#[cfg(test)]
mod simulated_hosts;
mod slots;
mod stats;
mod stop;
mod timers;
#[cfg(test)]
mod worker_simulation;
mod workers;

pub use conn_id::ConnId;
pub use deferred::Deferred;
pub use error::{Error, ErrorKind};
pub use handler::{CloseReason, Failed, FrameEnd, Handler, Peer, Reply};
pub use options::{Framing, Mode, Options, Order};
pub use server::{DrainReport, Ended, Handle, Server};
pub use stats::Stats;
