//! Owns the list of this crate's files. The crate is the map between C and [`reactor_core`]: each export checks what
//! it was given, calls the core, maps the result, and knows nothing of how a server works.
//!
//! A Rust type bears its C name, so that one grep finds both sides. Unsafe code lives in `ffi` alone. What follows is
//! the preface of the header.
//!
#![doc = include_str!("../preface.md")]

// The objects of the API, each with its exports. Their order in the header is that of xtask's header.rs.
pub mod callbacks;
pub mod close_reason;
pub mod connections;
pub mod deferred;
pub mod log;
pub mod mode;
pub mod options;
pub mod order;
pub mod reactor;
pub mod reply;
pub mod report;
pub mod stats;
pub mod status;
pub mod version;

// How exports and callbacks are run.
mod adaptor;
mod boundary;
mod c_text;
mod current;
mod ffi;
mod last_error;
mod panic_hook;
