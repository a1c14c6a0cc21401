//! Owns what a user may set, each setting with its unit and default, and what contradicts what. Knows nothing of what the
//! settings are applied to.

use nix::sys::resource::{Resource, getrlimit};

use crate::config::{Config, MAX_DELIMITER_BYTES, MAX_KEEPALIVE_S, MAX_THREADS, SPARE_DESCRIPTORS};
use crate::conn_id::{MAX_REACTORS, MAX_SLOTS};
use crate::error::Error;

/// How the work is spread over threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Mode {
    /// One thread does I/O and runs the handler.
    Single = 0,
    /// One reactor thread does I/O, worker threads run the handler.
    Pooled = 1,
    /// A main reactor accepts; sub-reactors, a thread each, own the connections.
    Multi = 2,
}

impl Mode {
    /// The mode that has this number.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) where no mode has it.
    pub fn from_number(number: u32) -> Result<Self, Error> {
        match number {
            0 => Ok(Mode::Single),
            1 => Ok(Mode::Pooled),
            2 => Ok(Mode::Multi),
            other => Err(Error::invalid(format!("mode is {other}; it is 0 (SINGLE), 1 (POOLED) or 2 (MULTI)"))),
        }
    }
}

/// Which requests of one connection may run at once, and in which order their replies leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Order {
    /// One at a time; replies in request order.
    Serial = 0,
    /// At once; replies in request order.
    Parallel = 1,
    /// At once; each reply as soon as it is ready.
    Unordered = 2,
}

impl Order {
    /// The order that has this number.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) where no order has it.
    pub fn from_number(number: u32) -> Result<Self, Error> {
        match number {
            0 => Ok(Order::Serial),
            1 => Ok(Order::Parallel),
            2 => Ok(Order::Unordered),
            other => Err(Error::invalid(format!("order is {other}; it is 0 (SERIAL), 1 (PARALLEL) or 2 (UNORDERED)"))),
        }
    }
}

/// How a stream of bytes is cut into requests. A frame reaches the handler whole, its delimiter or header with it; with
/// `strip` the handler sees the payload alone, and each reply and send is framed the same way on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Whatever has arrived.
    Raw,
    /// Up to and with a delimiter of 1 to 16 bytes.
    Delimiter {
        /// The delimiter.
        delimiter: Vec<u8>,
        /// Whether the handler sees the payload alone.
        strip: bool,
    },
    /// A header that counts the bytes of the payload after it.
    LengthPrefix {
        /// Bytes of the header: 1, 2, 4 or 8.
        width: u32,
        /// Whether its most significant byte comes first.
        big_endian: bool,
        /// Whether the handler sees the payload alone.
        strip: bool,
    },
    /// Frames of one size, in bytes.
    Fixed(usize),
    /// [`Handler::frame`](crate::Handler::frame) says where a frame ends.
    Custom,
}

impl Framing {
    /// Whether a delimiter may be so many bytes long, for whoever does not have the bytes yet.
    ///
    /// # Errors
    /// `InvalidArgument` where it is not 1 to 16.
    pub fn check_delimiter_len(len: usize) -> Result<(), Error> {
        if !(1..=MAX_DELIMITER_BYTES).contains(&len) {
            return Err(Error::invalid(format!(
                "the delimiter is {len} bytes long; it has 1 to {MAX_DELIMITER_BYTES}"
            )));
        }
        Ok(())
    }
}

/// Settings of a server. Each setter refuses what can never be right; [`Server::start`](crate::Server::start) refuses
/// what contradicts the mode or another setting.
///
/// # Examples
/// ```
/// use reactor_core::{Framing, Options};
///
/// let mut options = Options::new();
/// options.set_framing(Framing::Delimiter { delimiter: b"\n".to_vec(), strip: false })?;
/// options.set_max_connections(1_000)?;
/// assert!(options.set_workers(0).is_ok(), "MULTI takes 0: inline");
/// assert!(options.set_backlog(0).is_err());
/// # Ok::<(), reactor_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    framing: Framing,
    order: Order,
    reactors: Option<u32>,
    workers: Option<u32>,
    max_connections: Option<u32>,
    max_in_flight: u32,
    max_frame_bytes: usize,
    output_low_bytes: usize,
    output_high_bytes: usize,
    output_limit_bytes: usize,
    memory_limit_bytes: usize,
    heap_trim: Option<fn()>,
    frame_timeout_ms: u32,
    write_timeout_ms: u32,
    idle_timeout_ms: u32,
    backlog: u32,
    nodelay: bool,
    keepalive_s: u32,
    reuse_port: bool,
    unix_mode: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options::new()
    }
}

impl Options {
    /// All defaults.
    #[must_use]
    pub fn new() -> Self {
        Options {
            framing: Framing::Raw,
            order: Order::Serial,
            reactors: None,
            workers: None,
            max_connections: None,
            max_in_flight: 64,
            max_frame_bytes: 1024 * 1024,
            output_low_bytes: 32 * 1024,
            output_high_bytes: 64 * 1024,
            output_limit_bytes: 4 * 1024 * 1024,
            memory_limit_bytes: 256 * 1024 * 1024,
            heap_trim: None,
            frame_timeout_ms: 60_000,
            write_timeout_ms: 60_000,
            idle_timeout_ms: 0,
            backlog: 4096,
            nodelay: true,
            keepalive_s: 0,
            reuse_port: false,
            unix_mode: 0o600,
        }
    }

    /// How requests are cut; [`Framing::Raw`].
    ///
    /// # Errors
    /// `InvalidArgument`: a delimiter that is not 1 to 16 bytes long, a prefix that is not 1, 2, 4 or 8 bytes wide, a
    /// fixed size of 0.
    pub fn set_framing(&mut self, framing: Framing) -> Result<&mut Self, Error> {
        match &framing {
            Framing::Raw | Framing::Custom => {}
            Framing::Delimiter { delimiter, .. } => {
                Framing::check_delimiter_len(delimiter.len())?;
            }
            Framing::LengthPrefix { width, .. } => {
                if !matches!(width, 1 | 2 | 4 | 8) {
                    return Err(Error::invalid(format!(
                        "the length prefix is {width} bytes wide; it has 1, 2, 4 or 8"
                    )));
                }
            }
            Framing::Fixed(bytes) => {
                at_least_one("frame_bytes", *bytes)?;
            }
        }
        self.framing = framing;
        Ok(self)
    }

    /// Which requests of one connection run at once; [`Order::Serial`].
    pub fn set_order(&mut self, order: Order) -> &mut Self {
        self.order = order;
        self
    }

    /// Reactor threads that own connections, in MULTI: 1 to 1024; the number of cores.
    ///
    /// # Errors
    /// `InvalidArgument` out of that range.
    pub fn set_reactors(&mut self, count: u32) -> Result<&mut Self, Error> {
        at_least_one("reactors", count as usize)?;
        self.reactors = Some(threads("reactors", count)?);
        Ok(self)
    }

    /// Worker threads: 1 to 1024 in POOLED, the number of cores; 0 to 1024 in MULTI, 0: the handler runs inline.
    ///
    /// # Errors
    /// `InvalidArgument` out of that range.
    pub fn set_workers(&mut self, count: u32) -> Result<&mut Self, Error> {
        self.workers = Some(threads("workers", count)?);
        Ok(self)
    }

    /// Connections open at once; the descriptor limit less 64. Those beyond it are accepted and dropped. One that has
    /// ended counts for as long as a callback runs for it.
    ///
    /// # Errors
    /// `InvalidArgument` for 0.
    pub fn set_max_connections(&mut self, count: u32) -> Result<&mut Self, Error> {
        at_least_one("max_connections", count as usize)?;
        self.max_connections = Some(count);
        Ok(self)
    }

    /// Requests of one connection admitted and not yet answered, at which its reading pauses; 64.
    ///
    /// # Errors
    /// `InvalidArgument` for 0.
    pub fn set_max_in_flight(&mut self, count: u32) -> Result<&mut Self, Error> {
        at_least_one("max_in_flight", count as usize)?;
        self.max_in_flight = count;
        Ok(self)
    }

    /// Size of one frame, header or delimiter included, in bytes; 1 MiB. Raw input is cut there.
    ///
    /// # Errors
    /// `InvalidArgument` for 0.
    pub fn set_max_frame_bytes(&mut self, bytes: usize) -> Result<&mut Self, Error> {
        at_least_one("max_frame_bytes", bytes)?;
        self.max_frame_bytes = bytes;
        Ok(self)
    }

    /// Unsent output and finished replies of one connection, in bytes, at which neither reading nor a request goes on
    /// (`high`), and down to which it waits (`low`); 32 and 64 KiB.
    ///
    /// # Errors
    /// `InvalidArgument` where one is 0 or `low` is above `high`.
    pub fn set_output_water_marks(&mut self, low: usize, high: usize) -> Result<&mut Self, Error> {
        at_least_one("the low water mark", low)?;
        if low > high {
            return Err(Error::invalid(format!("the low water mark, {low}, is above the high one, {high}")));
        }
        self.output_low_bytes = low;
        self.output_high_bytes = high;
        Ok(self)
    }

    /// The largest size of one reply, in bytes, and the unsent output past which a send is refused; 4 MiB.
    ///
    /// # Errors
    /// `InvalidArgument` for 0.
    pub fn set_output_limit_bytes(&mut self, bytes: usize) -> Result<&mut Self, Error> {
        at_least_one("output_limit_bytes", bytes)?;
        self.output_limit_bytes = bytes;
        Ok(self)
    }

    /// Buffered input, requests in flight and unsent output of all connections together, in bytes; 256 MiB. A third
    /// more is counted for each of these than they hold, for what the system's allocator needs beside. Past it each
    /// reactor reads one connection at a time; where output that nobody takes is the most of it, workers begin nothing
    /// either until it leaves, but for one each second up to a quarter above the limit.
    ///
    /// # Errors
    /// `InvalidArgument` for 0.
    pub fn set_memory_limit_bytes(&mut self, bytes: usize) -> Result<&mut Self, Error> {
        at_least_one("memory_limit_bytes", bytes)?;
        self.memory_limit_bytes = bytes;
        Ok(self)
    }

    /// What asks the allocator to give memory that is free back to the operating system; none. An allocator keeps what
    /// lies between buffers of many sizes, so that a process may take twice as much as it uses.
    ///
    /// `trim` is called on a reactor thread: now and then while more than half of `memory_limit_bytes` is used, for a
    /// tenth of the time, rarely up to a half, and as it falls to a quarter and to nothing. It must not panic. The core
    /// does not know which allocator its program has: of glibc it is `malloc_trim(0)`, which the C library and the
    /// Node.js package set; of mimalloc `mi_collect(true)`; of jemalloc the control `arena.<i>.purge`.
    pub fn set_heap_trim(&mut self, trim: fn()) -> &mut Self {
        self.heap_trim = Some(trim);
        self
    }

    /// From a frame's first byte to its last, in milliseconds; 60 s. 0 is none.
    pub fn set_frame_timeout_ms(&mut self, ms: u32) -> &mut Self {
        self.frame_timeout_ms = ms;
        self
    }

    /// With output due and no byte of it taken by the peer, in milliseconds; 60 s. 0 is none.
    pub fn set_write_timeout_ms(&mut self, ms: u32) -> &mut Self {
        self.write_timeout_ms = ms;
        self
    }

    /// With no byte either way and nothing in flight, in milliseconds; 0, none.
    pub fn set_idle_timeout_ms(&mut self, ms: u32) -> &mut Self {
        self.idle_timeout_ms = ms;
        self
    }

    /// Connections that the operating system holds until they are accepted; 4096.
    ///
    /// # Errors
    /// `InvalidArgument` for 0.
    pub fn set_backlog(&mut self, count: u32) -> Result<&mut Self, Error> {
        at_least_one("backlog", count as usize)?;
        self.backlog = count;
        Ok(self)
    }

    /// Whether small writes leave at once (TCP_NODELAY); true.
    pub fn set_nodelay(&mut self, on: bool) -> &mut Self {
        self.nodelay = on;
        self
    }

    /// Seconds of silence after which TCP asks whether the peer is there (SO_KEEPALIVE): 1 to 32767; 0, off.
    ///
    /// # Errors
    /// `InvalidArgument` beyond 32767, which is what the system takes.
    pub fn set_keepalive_s(&mut self, seconds: u32) -> Result<&mut Self, Error> {
        if seconds > MAX_KEEPALIVE_S {
            return Err(Error::invalid(format!("keepalive_s is {seconds}; it is at most {MAX_KEEPALIVE_S}")));
        }
        self.keepalive_s = seconds;
        Ok(self)
    }

    /// Whether several servers may share the port (SO_REUSEPORT); false.
    pub fn set_reuse_port(&mut self, on: bool) -> &mut Self {
        self.reuse_port = on;
        self
    }

    /// Permissions of a `unix:PATH` socket; 0600.
    ///
    /// # Errors
    /// `InvalidArgument` beyond 0777.
    pub fn set_unix_mode(&mut self, mode: u32) -> Result<&mut Self, Error> {
        if mode > 0o777 {
            return Err(Error::invalid(format!("unix_mode is 0{mode:o}; it is at most 0777")));
        }
        self.unix_mode = mode;
        Ok(self)
    }

    /// Checks what only makes sense together with the mode.
    pub(crate) fn check(&self, mode: Mode) -> Result<Config, Error> {
        let (reactors, workers) = self.threads_of(mode)?;
        if self.order == Order::Unordered && self.framing == Framing::Raw {
            return Err(Error::invalid(
                "UNORDERED needs a framing: raw bytes have no boundaries by which a peer could tell replies apart",
            ));
        }
        let smallest_frame = match &self.framing {
            Framing::Raw | Framing::Custom => 1,
            Framing::Delimiter { delimiter, .. } => delimiter.len(),
            Framing::LengthPrefix { width, .. } => *width as usize,
            Framing::Fixed(bytes) => *bytes,
        };
        if smallest_frame > self.max_frame_bytes {
            return Err(Error::invalid(format!(
                "max_frame_bytes is {}, below the framing's smallest frame, {smallest_frame} bytes",
                self.max_frame_bytes
            )));
        }
        let least_memory = reactors.saturating_mul(self.max_frame_bytes);
        if self.memory_limit_bytes < least_memory {
            return Err(Error::invalid(format!(
                "memory_limit_bytes is {}, below {reactors} reactors x max_frame_bytes {}: a frame might never fit",
                self.memory_limit_bytes, self.max_frame_bytes
            )));
        }
        Ok(Config {
            framing: self.framing.clone(),
            order: self.order,
            reactors,
            workers,
            max_connections: self
                .max_connections
                .map_or_else(default_max_connections, |count| count as usize)
                .min(MAX_SLOTS),
            max_in_flight: self.max_in_flight,
            max_frame_bytes: self.max_frame_bytes,
            output_low_bytes: self.output_low_bytes,
            output_high_bytes: self.output_high_bytes,
            output_limit_bytes: self.output_limit_bytes,
            memory_limit_bytes: self.memory_limit_bytes,
            heap_trim: self.heap_trim,
            frame_timeout_ms: self.frame_timeout_ms.into(),
            write_timeout_ms: self.write_timeout_ms.into(),
            idle_timeout_ms: self.idle_timeout_ms.into(),
            backlog: i32::try_from(self.backlog).unwrap_or(i32::MAX),
            nodelay: self.nodelay,
            keepalive_s: self.keepalive_s,
            reuse_port: self.reuse_port,
            unix_mode: self.unix_mode,
        })
    }

    /// Reactors that own connections, and workers.
    fn threads_of(&self, mode: Mode) -> Result<(usize, usize), Error> {
        match mode {
            Mode::Single | Mode::Pooled => {
                if let Some(reactors) = self.reactors {
                    return Err(Error::invalid(format!(
                        "reactors is set to {reactors}, and mode {mode:?} has one: only MULTI takes the option"
                    )));
                }
            }
            Mode::Multi => {}
        }
        match (mode, self.workers) {
            (Mode::Single, None) => Ok((1, 0)),
            (Mode::Single, Some(workers)) => Err(Error::invalid(format!(
                "workers is set to {workers}, and mode Single has none: POOLED and MULTI take the option"
            ))),
            (Mode::Pooled, None) => Ok((1, cores())),
            (Mode::Pooled, Some(0)) => Err(Error::invalid("workers is 0; mode Pooled has 1 to 1024")),
            (Mode::Pooled, Some(workers)) => Ok((1, workers as usize)),
            (Mode::Multi, workers) => Ok((
                self.reactors.map_or_else(cores, |count| count as usize).min(MAX_REACTORS),
                workers.unwrap_or(0) as usize,
            )),
        }
    }
}

fn at_least_one(name: &str, value: usize) -> Result<(), Error> {
    if value == 0 { Err(Error::invalid(format!("{name} is 0; it is at least 1"))) } else { Ok(()) }
}

fn threads(name: &str, count: u32) -> Result<u32, Error> {
    if count > MAX_THREADS {
        return Err(Error::invalid(format!("{name} is {count}; it is at most {MAX_THREADS}")));
    }
    Ok(count)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The soft limit: it is the one that accept meets (getrlimit(2)).
fn default_max_connections() -> usize {
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _hard)| soft);
    usize::try_from(soft.saturating_sub(SPARE_DESCRIPTORS).max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[track_caller]
    fn refused(options: &Options, mode: Mode, word: &str) {
        let error = options.check(mode).expect_err("the options contradict the mode or each other");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(word), "{error} does not name {word}");
    }

    #[test]
    fn what_contradicts_the_mode_is_refused_by_name() {
        refused(Options::new().set_workers(2).expect("in range"), Mode::Single, "workers");
        refused(Options::new().set_workers(0).expect("in range"), Mode::Pooled, "workers");
        refused(Options::new().set_reactors(2).expect("in range"), Mode::Single, "reactors");
        refused(Options::new().set_reactors(2).expect("in range"), Mode::Pooled, "reactors");
    }

    #[test]
    fn what_contradicts_another_option_is_refused_by_name() {
        refused(Options::new().set_order(Order::Unordered), Mode::Single, "UNORDERED");
        let mut options = Options::new();
        options.set_framing(Framing::Fixed(100)).expect("in range").set_max_frame_bytes(99).expect("in range");
        refused(&options, Mode::Single, "max_frame_bytes");
        refused(
            Options::new().set_memory_limit_bytes(1024 * 1024 - 1).expect("in range"),
            Mode::Pooled,
            "memory_limit",
        );
    }

    #[test]
    fn counts_out_of_range_are_refused() {
        let mut options = Options::new();
        assert!(options.set_reactors(0).is_err() && options.set_reactors(1025).is_err());
        assert!(options.set_workers(1025).is_err() && options.set_workers(1024).is_ok());
        assert!(options.set_output_water_marks(2, 1).is_err() && options.set_output_water_marks(0, 1).is_err());
        assert!(options.set_unix_mode(0o1000).is_err() && options.set_unix_mode(0o777).is_ok());
        for delimiter in [0, 17] {
            assert!(
                options.set_framing(Framing::Delimiter { delimiter: vec![b'x'; delimiter], strip: false }).is_err()
            );
        }
        assert!(options.set_framing(Framing::LengthPrefix { width: 3, big_endian: true, strip: false }).is_err());
        assert!(options.set_framing(Framing::Fixed(0)).is_err());
    }
}
