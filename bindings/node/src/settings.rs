//! Owns how the options of JavaScript become those of the engine. Their ranges are the engine's affair; lib/options.js has
//! checked their types.

use napi_derive::napi;
use reactor_core::{DrainReport, Error, Framing, Options, Order, Stats};

use crate::heap;

/// Options as lib/options.js hands them over: what is missing has the engine's default.
#[napi(object)]
pub struct NativeOptions {
    /// 0 serial, 1 parallel, 2 unordered.
    pub order: Option<u32>,
    /// 0 raw, 1 delimiter, 2 length prefix, 3 fixed.
    pub framing: Option<u32>,
    /// Of framing 1.
    pub delimiter: Option<Vec<u8>>,
    /// Width of framing 2 in bytes, size of framing 3 in bytes.
    pub frame_width: Option<f64>,
    /// Of framing 2.
    pub big_endian: Option<bool>,
    /// Of framings 1 and 2.
    pub strip: Option<bool>,
    /// Reactor threads.
    pub reactors: Option<u32>,
    /// Connections open at once.
    pub max_connections: Option<u32>,
    /// Requests of a connection in flight.
    pub max_in_flight: Option<u32>,
    /// Bytes of a frame.
    pub max_frame_bytes: Option<f64>,
    /// Bytes of unsent output at which reading goes on.
    pub output_low_bytes: Option<f64>,
    /// Bytes of unsent output at which reading pauses.
    pub output_high_bytes: Option<f64>,
    /// Bytes of one reply.
    pub output_limit_bytes: Option<f64>,
    /// Bytes of all connections together.
    pub memory_limit_bytes: Option<f64>,
    /// From a frame's first byte to its last.
    pub frame_timeout_ms: Option<u32>,
    /// With output due and no byte taken.
    pub write_timeout_ms: Option<u32>,
    /// With no byte either way.
    pub idle_timeout_ms: Option<u32>,
    /// Connections that wait for accept.
    pub backlog: Option<u32>,
    /// TCP_NODELAY.
    pub no_delay: Option<bool>,
    /// SO_KEEPALIVE.
    pub keep_alive_seconds: Option<u32>,
    /// SO_REUSEPORT.
    pub reuse_port: Option<bool>,
    /// Permissions of a socket path.
    pub unix_mode: Option<u32>,
}

impl NativeOptions {
    /// The same for the engine.
    pub(crate) fn to_options(&self) -> Result<Options, Error> {
        let mut options = Options::new();
        heap::trim_when_due(&mut options);
        if let Some(order) = self.order {
            options.set_order(Order::from_number(order)?);
        }
        options.set_framing(self.framing())?;
        each(&mut options, self.reactors, Options::set_reactors)?;
        each(&mut options, self.max_connections, Options::set_max_connections)?;
        each(&mut options, self.max_in_flight, Options::set_max_in_flight)?;
        each(&mut options, self.max_frame_bytes.map(bytes), Options::set_max_frame_bytes)?;
        if let (Some(low), Some(high)) = (self.output_low_bytes, self.output_high_bytes) {
            options.set_output_water_marks(bytes(low), bytes(high))?;
        }
        each(&mut options, self.output_limit_bytes.map(bytes), Options::set_output_limit_bytes)?;
        each(&mut options, self.memory_limit_bytes.map(bytes), Options::set_memory_limit_bytes)?;
        each(&mut options, self.backlog, Options::set_backlog)?;
        each(&mut options, self.keep_alive_seconds, Options::set_keepalive_s)?;
        each(&mut options, self.unix_mode, Options::set_unix_mode)?;
        self.frame_timeout_ms.map(|ms| options.set_frame_timeout_ms(ms));
        self.write_timeout_ms.map(|ms| options.set_write_timeout_ms(ms));
        self.idle_timeout_ms.map(|ms| options.set_idle_timeout_ms(ms));
        self.no_delay.map(|on| options.set_nodelay(on));
        self.reuse_port.map(|on| options.set_reuse_port(on));
        Ok(options)
    }

    fn framing(&self) -> Framing {
        let strip = self.strip.unwrap_or(false);
        match self.framing {
            Some(1) => Framing::Delimiter { delimiter: self.delimiter.clone().unwrap_or_default(), strip },
            Some(2) => Framing::LengthPrefix {
                width: self.frame_width.unwrap_or(0.0) as u32,
                big_endian: self.big_endian.unwrap_or(true),
                strip,
            },
            Some(3) => Framing::Fixed(bytes(self.frame_width.unwrap_or(0.0))),
            Some(_) | None => Framing::Raw,
        }
    }
}

/// A whole number of JavaScript; lib/options.js lets no other through.
fn bytes(number: f64) -> usize {
    number as usize
}

fn each<T>(
    options: &mut Options,
    value: Option<T>,
    set: impl FnOnce(&mut Options, T) -> Result<&mut Options, Error>,
) -> Result<(), Error> {
    value.map_or(Ok(()), |value| set(options, value).map(|_| ()))
}

/// What a stop came to.
#[napi(object)]
pub struct NativeReport {
    /// Everything answered and flushed.
    pub connections_drained: f64,
    /// Cut at the deadline.
    pub connections_aborted: f64,
    /// Answered after the stop was asked for.
    pub requests_completed: f64,
    /// Admitted, and not answered by the deadline.
    pub requests_abandoned: f64,
    /// Output not sent by the deadline.
    pub bytes_unsent: f64,
    /// Callbacks that had not returned by the deadline.
    pub callbacks_running: f64,
}

impl From<DrainReport> for NativeReport {
    fn from(report: DrainReport) -> Self {
        NativeReport {
            connections_drained: report.connections_drained as f64,
            connections_aborted: report.connections_aborted as f64,
            requests_completed: report.requests_completed as f64,
            requests_abandoned: report.requests_abandoned as f64,
            bytes_unsent: report.bytes_unsent as f64,
            callbacks_running: report.callbacks_running as f64,
        }
    }
}

/// The engine's counters; index.d.ts says what each is.
#[napi(object)]
pub struct NativeStats {
    pub reactors: f64,
    pub connections_open: f64,
    pub connections_accepted: f64,
    pub connections_refused: f64,
    pub connections_timed_out: f64,
    pub connections_reset: f64,
    pub accept_errors: f64,
    pub requests: f64,
    pub replies: f64,
    pub callback_failures: f64,
    pub requests_in_flight: f64,
    pub bytes_in: f64,
    pub bytes_out: f64,
    pub memory_bytes: f64,
    pub reads_paused: f64,
    pub queue_wait_us_p99: f64,
    pub process_us_p99: f64,
    pub loop_busy_us_max: f64,
}

impl From<Stats> for NativeStats {
    fn from(stats: Stats) -> Self {
        NativeStats {
            reactors: stats.reactors as f64,
            connections_open: stats.connections_open as f64,
            connections_accepted: stats.connections_accepted as f64,
            connections_refused: stats.connections_refused as f64,
            connections_timed_out: stats.connections_timed_out as f64,
            connections_reset: stats.connections_reset as f64,
            accept_errors: stats.accept_errors as f64,
            requests: stats.requests as f64,
            replies: stats.replies as f64,
            callback_failures: stats.callback_failures as f64,
            requests_in_flight: stats.requests_in_flight as f64,
            bytes_in: stats.bytes_in as f64,
            bytes_out: stats.bytes_out as f64,
            memory_bytes: stats.memory_bytes as f64,
            reads_paused: stats.reads_paused as f64,
            queue_wait_us_p99: stats.queue_wait_us_p99 as f64,
            process_us_p99: stats.process_us_p99 as f64,
            loop_busy_us_max: stats.loop_busy_us_max as f64,
        }
    }
}
