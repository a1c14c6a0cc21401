//! Owns what the suites share: a server in each mode, made of what a suite gives it, a client whose every wait is bounded,
//! and waits that other threads end. Knows nothing of what is promised.
//!
//! [`modes`] has the modes and a test for each of them. A server is either a [`Service`], whose callbacks are closures, or
//! one of [`serve`], which tells of its connections as [`Events`] and whose loops a [`Gate`] can hold.

mod client;
mod closed;
mod events;
mod framings;
mod gate;
mod modes;
mod process;
mod random;
mod service;
mod tally;
mod wait;

pub(crate) use client::{Client, narrow};
pub(crate) use closed::Closed;
pub(crate) use events::{Event, Events, echo, serve, serve_gated};
pub(crate) use framings::{count, lines, prefix};
pub(crate) use gate::Gate;
pub(crate) use modes::{Wiring, in_each_mode};
pub(crate) use process::{child_setting, connections, in_a_process_of_its_own};
pub(crate) use random::{Random, pattern};
pub(crate) use service::{Running, Service, answer, deferring};
pub(crate) use tally::Tally;
pub(crate) use wait::{WAIT, comes_within, next, spin, until};
