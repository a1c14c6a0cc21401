//! Owns the limits that are not settings, each with its unit, and the [`Config`] that settings are checked into. No other
//! module but `options`, which has the defaults, holds a number of its own. Knows nothing of what the limits are
//! applied to.

use crate::options::{Framing, Order};

/// The shared read buffer of a loop, in bytes, without its headroom. A little over 64 KiB, so that a message of just that
/// size makes a short read, which spares the second one that a filled buffer asks for.
pub(crate) const READ_BUFFER_BYTES: usize = 66 * 1024;
/// Beside each so many bytes of its buffers, a connection counts one that the system's allocator needs: for the holes
/// between buffers, and because it keeps apart what different threads asked for (seen: a fifth with one loop, half with
/// two loops and workers).
pub(crate) const HEAP_SHARE: usize = 3;
/// While memory is used so far that the heap is trimmed now and then, connections let go at least so many bytes from one
/// trim to the next.
pub(crate) const HEAP_TRIM_BYTES: usize = 4 * 1024 * 1024;
/// After a trim there is none for so many times as long as it took, unless a quarter of the limit was let go since.
pub(crate) const HEAP_TRIM_PAUSE: u64 = 9;
/// What one read takes of a connection half of whose requests in flight are taken up: more would only wait.
pub(crate) const BACKLOG_READ_BYTES: usize = 16 * 1024;
/// What one read takes while memory is short, of a frame whose length is not known: what it takes beyond the frame
/// stays, with each connection that is let in.
pub(crate) const RATIONED_BYTES: usize = 1024;
/// Room before the read buffer where a partial frame is put, so that the next read completes it in place.
pub(crate) const READ_HEADROOM_BYTES: usize = 4 * 1024;
/// What one connection may read in one turn before the others have theirs: what one read takes.
pub(crate) const TURN_BUDGET_BYTES: usize = 64 * 1024;
/// What it costs of that to begin what had been read before.
pub(crate) const ADVANCE_BYTES: usize = 1024;
/// Requests that run on the loop's thread: those of one connection in one turn, before the others have theirs.
pub(crate) const TURN_REQUESTS: u32 = 64;
/// As above, in milliseconds, looked at after so many requests.
pub(crate) const TURN_MS: u64 = 1;
pub(crate) const TURN_CLOCK_REQUESTS: u32 = 8;
/// Connections accepted in one turn before the open ones have theirs.
pub(crate) const ACCEPT_BUDGET: usize = 128;
/// Readiness events fetched by one poll.
pub(crate) const EVENTS_PER_POLL: usize = 1024;
/// How long accepting pauses when descriptors have run out; one freed by anyone is noticed after this time.
pub(crate) const ACCEPT_RETRY_MS: u64 = 50;
/// A closed connection is read on for this long, so that no reset erases its last reply (RFC 9112 section 9.6).
pub(crate) const LINGER_MS: u64 = 2_000;
/// As above: bytes thrown away at the most.
pub(crate) const LINGER_BYTES: usize = 16 * 1024 * 1024;
/// Buffers above this size are given back to the allocator rather than kept for reuse.
pub(crate) const RECYCLED_BYTES: usize = 16 * 1024;
/// Buffers of each kind that a loop keeps for reuse.
pub(crate) const RECYCLED_BUFFERS: usize = 64;
/// A reply of at least this size is handed over from thread to thread, and to the output, rather than copied.
pub(crate) const HAND_OVER_BYTES: usize = 16 * 1024;
/// What the socket does not take is kept in buffers of this size, in bytes.
pub(crate) const KEPT_BYTES: usize = 8 * 1024;
/// A mailbox keeps this much room for the replies of later turns, in bytes.
pub(crate) const KEPT_MAIL_BYTES: usize = 256 * 1024;
/// Finished replies that workers post to a loop, in bytes, before they wait until it has taken them.
pub(crate) const MAILED_BYTES: usize = 512 * 1024;
/// Requests that a run may take before it gives up its worker.
pub(crate) const RUN_REQUESTS: u32 = 16;
/// Time, in microseconds, that a run may take before it gives up its worker.
pub(crate) const RUN_US: u64 = 1_000;
/// Finished replies are posted before the next request of a run begins once they are this old, in microseconds.
pub(crate) const POST_US: u64 = 100;
/// One worker is awake for so many microseconds of pending work.
pub(crate) const WORK_PER_WORKER_US: u64 = 50;
/// A worker that has been in one request for so long, in milliseconds, no longer counts as awake.
pub(crate) const STUCK_MS: u64 = 1;
/// After the deadline of a stop, a callback that makes no progress for so long, in milliseconds, is reported as running.
pub(crate) const STUCK_CALLBACK_MS: u64 = 40;
/// So often, in milliseconds, a connection is looked at that has done something: one that has come to rest gives back
/// what it holds.
pub(crate) const AWAKE_MS: u64 = 1_000;
/// The descriptor table is grown to hold so many at the start, at the most: more is memory that few servers need.
pub(crate) const DESCRIPTORS_GROWN: usize = 65_536;
/// One request in so many is timed.
pub(crate) const SAMPLED: u64 = 64;
/// What a push takes beside its bytes, in memory: itself, and its places in mailboxes and outputs.
pub(crate) const PUSH_OVERHEAD_BYTES: usize = 256;
/// Ended connections that a loop remembers, at the least, among those that the handler had no room for.
pub(crate) const REFUSED_SLACK: usize = 64;
/// How often the write that tells a waiting host of a stop is tried, before a way is taken that needs no memory.
pub(crate) const BELL_TRIES: usize = 64;
/// Slices that one gathering write takes.
pub(crate) const GATHERED_SLICES: usize = 64;
/// Descriptors that the default of `max_connections` leaves to the rest of the process.
pub(crate) const SPARE_DESCRIPTORS: u64 = 64;
/// Threads of one kind.
pub(crate) const MAX_THREADS: u32 = 1024;
/// Seconds of silence before the first keep-alive probe (Linux, include/net/tcp.h: MAX_TCP_KEEPIDLE).
pub(crate) const MAX_KEEPALIVE_S: u32 = 32_767;
/// One message, in bytes, whatever output_limit_bytes says: no buffer holds more than isize::MAX (std's Vec,
/// "Guarantees"), and beside the message it holds what is to leave before it.
pub(crate) const MAX_MESSAGE_BYTES: usize = isize::MAX as usize / 2;
/// The stack of each thread, in bytes. Left to std it would be what RUST_MIN_STACK in the environment says.
pub(crate) const STACK_BYTES: usize = 2 * 1024 * 1024;
/// Length of a delimiter.
pub(crate) const MAX_DELIMITER_BYTES: usize = 16;

/// [`Options`](crate::Options) after the check: what the rest of the library reads.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) framing: Framing,
    pub(crate) order: Order,
    pub(crate) reactors: usize,
    pub(crate) workers: usize,
    pub(crate) max_connections: usize,
    pub(crate) max_in_flight: u32,
    pub(crate) max_frame_bytes: usize,
    pub(crate) output_low_bytes: usize,
    pub(crate) output_high_bytes: usize,
    pub(crate) output_limit_bytes: usize,
    pub(crate) memory_limit_bytes: usize,
    pub(crate) heap_trim: Option<fn()>,
    pub(crate) frame_timeout_ms: u64,
    pub(crate) write_timeout_ms: u64,
    pub(crate) idle_timeout_ms: u64,
    pub(crate) backlog: i32,
    pub(crate) nodelay: bool,
    pub(crate) keepalive_s: u32,
    pub(crate) reuse_port: bool,
    pub(crate) unix_mode: u32,
}
