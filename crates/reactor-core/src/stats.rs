//! Owns the counters of one loop: cheap to bump by the loop, read from any thread. Knows nothing of what is counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::connection::Abandoned;

/// A number that one thread changes and any thread reads.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Only the owning loop calls this: a load and a store, no locked instruction.
    pub(crate) fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// As [`add`](Counter::add), for what is counted now rather than since the start.
    pub(crate) fn sub(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(count), Ordering::Relaxed);
    }

    /// As [`add`](Counter::add), for a largest value.
    pub(crate) fn raise(&self, value: u64) {
        if value > self.get() {
            self.0.store(value, Ordering::Relaxed);
        }
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one loop counts. Padded, so that no other thread's writes slow its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct LoopStats {
    pub(crate) open: Counter,
    pub(crate) accepted: Counter,
    pub(crate) refused: Counter,
    pub(crate) timed_out: Counter,
    pub(crate) reset: Counter,
    pub(crate) requests: Counter,
    pub(crate) replies: Counter,
    pub(crate) callback_failures: Counter,
    pub(crate) in_flight: Counter,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) memory: Counter,
    pub(crate) reads_paused: Counter,
    pub(crate) loop_busy_us_max: Counter,
    pub(crate) drain: DrainCounters,
    samples: OnceLock<Mutex<Samples>>,
}

/// What one loop adds to the report of a stop.
#[derive(Debug, Default)]
pub(crate) struct DrainCounters {
    pub(crate) connections_drained: Counter,
    pub(crate) connections_aborted: Counter,
    pub(crate) requests_completed: Counter,
    pub(crate) requests_abandoned: Counter,
    pub(crate) bytes_unsent: Counter,
}

impl DrainCounters {
    /// A connection has ended before the deadline: by itself, or its peer or a time limit cut it.
    pub(crate) fn end(&self, abandoned: Abandoned) {
        if abandoned == Abandoned::default() {
            self.connections_drained.add(1);
        } else {
            self.abort(abandoned);
        }
    }

    /// A connection was cut, and has left this behind.
    pub(crate) fn abort(&self, abandoned: Abandoned) {
        self.connections_aborted.add(1);
        self.requests_abandoned.add(abandoned.requests);
        self.bytes_unsent.add(abandoned.unsent_bytes);
    }
}

/// Times of sampled requests, in microseconds.
#[derive(Debug)]
struct Samples {
    queue_wait: Histogram<u32>,
    process: Histogram<u32>,
}

/// An hour, in microseconds: longer times count as that.
const LONGEST_US: u64 = 3_600_000_000;

fn histogram() -> Histogram<u32> {
    Histogram::new_with_max(LONGEST_US, 2).expect("2 digits up to an hour are within the bounds of the format")
}

impl LoopStats {
    /// One sampled request: from complete to callback begun, and the callback's own time. Any thread.
    pub(crate) fn sample(&self, queue_wait: Duration, process: Duration) {
        self.sample_queue_wait(queue_wait);
        self.sample_process(process);
    }

    pub(crate) fn sample_queue_wait(&self, queue_wait: Duration) {
        self.with_samples(|samples| samples.queue_wait.saturating_record(queue_wait.as_micros() as u64));
    }

    pub(crate) fn sample_process(&self, process: Duration) {
        self.with_samples(|samples| samples.process.saturating_record(process.as_micros() as u64));
    }

    fn with_samples(&self, record: impl FnOnce(&mut Samples)) {
        let samples =
            self.samples.get_or_init(|| Mutex::new(Samples { queue_wait: histogram(), process: histogram() }));
        record(&mut samples.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What a server counts: of one reactor thread, or of all together. Since the start, unless it says "now".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Reactor threads that own connections.
    pub reactors: u64,
    /// Connections open now.
    pub connections_open: u64,
    /// Connections accepted.
    pub connections_accepted: u64,
    /// Connections refused by the handler or by max_connections.
    pub connections_refused: u64,
    /// Connections ended by a timeout.
    pub connections_timed_out: u64,
    /// Connections that the peer reset, or of which a read or write failed.
    pub connections_reset: u64,
    /// Accepts that failed: no descriptor, no memory, aborted in the queue.
    pub accept_errors: u64,
    /// Requests handed to the handler or, with workers, to their queue.
    pub requests: u64,
    /// Requests answered, also by an empty reply or none. Counted once the reply is finished: it may still wait for an
    /// earlier one, or be lost with its connection.
    pub replies: u64,
    /// Requests on which the handler failed or panicked.
    pub callback_failures: u64,
    /// Requests admitted and not answered now.
    pub requests_in_flight: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Buffered input, requests in flight and unsent output now, in bytes, as `memory_limit_bytes` counts them.
    pub memory_bytes: u64,
    /// Times that backpressure stopped the reading of a connection.
    pub reads_paused: u64,
    /// From a request complete to its callback begun, in microseconds: the 99th percentile of sampled ones.
    pub queue_wait_us_p99: u64,
    /// The callback's own time, in microseconds: the 99th percentile of sampled ones.
    pub process_us_p99: u64,
    /// The longest turn of an event loop, in microseconds.
    pub loop_busy_us_max: u64,
}

/// The sum of several loops' counters.
pub(crate) fn sum<'a>(loops: impl Iterator<Item = &'a LoopStats>) -> Stats {
    let mut total = Stats::default();
    let (mut queue_wait, mut process) = (histogram(), histogram());
    for stats in loops {
        total.reactors += 1;
        total.connections_open += stats.open.get();
        total.connections_accepted += stats.accepted.get();
        total.connections_refused += stats.refused.get();
        total.connections_timed_out += stats.timed_out.get();
        total.connections_reset += stats.reset.get();
        total.requests += stats.requests.get();
        total.replies += stats.replies.get();
        total.callback_failures += stats.callback_failures.get();
        total.requests_in_flight += stats.in_flight.get();
        total.bytes_in += stats.bytes_in.get();
        total.bytes_out += stats.bytes_out.get();
        total.memory_bytes += stats.memory.get();
        total.reads_paused += stats.reads_paused.get();
        total.loop_busy_us_max = total.loop_busy_us_max.max(stats.loop_busy_us_max.get());
        if let Some(samples) = stats.samples.get() {
            let samples = samples.lock().unwrap_or_else(PoisonError::into_inner);
            // Histograms of one shape always add.
            let _ = queue_wait.add(&samples.queue_wait);
            let _ = process.add(&samples.process);
        }
    }
    total.queue_wait_us_p99 = queue_wait.value_at_quantile(0.99);
    total.process_us_p99 = process.value_at_quantile(0.99);
    total
}
