/*
 * # libreactor
 *
 * A TCP server for any language. You bring one function, bytes in and bytes out; the library brings accept, read,
 * framing, ordering, backpressure, time limits and an orderly stop. A whole program:
 *
 *     #include <reactor.h>
 *     #include <stdio.h>
 *
 *     static int32_t echo(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
 *       (void)user_data;
 *       return reactor_reply_write(reply, data, len);
 *     }
 *
 *     int main(void) {
 *       reactor *server = reactor_start("127.0.0.1:3001", REACTOR_MODE_SINGLE, echo);
 *       if (server == NULL) return fprintf(stderr, "%s\n", reactor_last_error()), 1;
 *       reactor_wait(server, NULL);
 *       return reactor_free(server) != REACTOR_STATUS_OK;
 *     }
 *
 * Link it with `-lreactor`. What each function demands and gives is said beside it; what holds for all is said here.
 *
 * # Errors
 *
 * Every function that can fail returns a reactor_status, 0 for success, or a pointer, NULL for failure (a length or an
 * id: 0). reactor_last_status() and reactor_last_error() then say why, for the calling thread; a call that succeeds
 * leaves both as they are. Outputs are written only on success; the one exception is the report of reactor_wait on
 * REACTOR_STATUS_TIMED_OUT.
 *
 * NULL where an object is due is REACTOR_STATUS_INVALID_ARGUMENT, never a crash. So is a number that no enumerator
 * has: enumerations come in as uint32_t. (NULL, 0) is a legal empty slice.
 *
 * REACTOR_STATUS_PANIC may come from any function that returns a status, and is not listed with each: it is a bug in
 * the library, which never unwinds out of it. Running out of memory ends the process.
 *
 * # Ownership
 *
 * Only the library makes objects: what a function named _new, _start or _start_with returns is the caller's, until it
 * is given back to the _free of its type, once, as its last use. _free(NULL) does nothing. A deferred reply is given
 * back by keeping it: each reactor_deferred function takes it. A reply is lent to the process callback, and no use of
 * it is valid after that callback's return. A connection is no object but a number, and safe to use for ever: once it
 * has ended, calls return REACTOR_STATUS_GONE.
 *
 * What the caller passes in must be valid during the call: a string NUL-terminated, `len` bytes at a pointer readable,
 * `capacity` bytes at an output writable. All of it is copied: strings, bytes and options may change or go once the
 * call has returned. What the library returns is valid for as long as its function says.
 *
 * # Structures that grow
 *
 * A structure with struct_size may grow at its end in a later version. The caller sets struct_size to its sizeof
 * before the call; the smaller of the caller's and the library's size is written, and struct_size is set to that. One
 * smaller than in 0.1 is REACTOR_STATUS_INVALID_ARGUMENT.
 *
 * # Threads
 *
 * A reactor may be used from any thread, several at once, callbacks included. Options, replies and deferred replies are
 * used by one thread at a time. "Inside a callback", where a blocking call is refused, means a callback of the same
 * reactor.
 *
 * Callbacks run on the library's threads, those of several connections at once: what user_data points to is for the
 * caller to protect. Each of these threads has a stack of 2 MiB, of which the library itself takes a few KiB. The
 * library blocks all signals in its own threads, installs no signal handler, raises no SIGPIPE, and reads no
 * environment. In a child made by fork, no function may be called but _exit and exec.
 *
 * # Callbacks
 *
 * A callback is a function of the type that this header gives it, callable until reactor_wait has returned
 * REACTOR_STATUS_OK; the log callback, which belongs to the process and to no reactor, until reactor_set_log has
 * replaced it. Every other one gets as its first argument what reactor_options_set_user_data was given, else NULL. The
 * first may run before reactor_start has returned; reactor_current() is there for those. If start fails, none was or
 * will be called.
 *
 * A callback must not unwind out of itself: an exception that leaves one ends the process with a message on stderr,
 * the one thing that the library ever prints. longjmp out of a callback, or ending its thread, is undefined. What a
 * callback is lent (data, peer, reply, message) it keeps no longer than its return.
 *
 * # Frames and replies
 *
 * A framing cuts the stream of bytes into requests. A frame reaches the process callback whole, its delimiter or prefix
 * with it, so that echoing it gives back the same bytes. With `strip` the callback gets the payload alone, and each
 * reply and each send is framed the same way on its way out.
 *
 * A reply that was never written to sends nothing; one that was is sent in its place in the order, see reactor_order.
 * reactor_reply_defer keeps that place open until another thread answers. reactor_send and reactor_broadcast send what
 * no request asked for; it never leaves inside a reply.
 *
 * # Limits
 *
 * Every queue has a limit, and at the limit reading pauses until the peer has taken its output or the requests are
 * answered: a fast sender is slowed down, not buffered. What paused a connection shows in reactor_get_stats. Only what
 * the process sends of its own accord can be too much, and is then refused with REACTOR_STATUS_OVER_LIMIT. Timeouts are
 * kept to within 10 percent or 50 ms, whichever is more.
 *
 * # Words
 *
 * Admitted: a complete frame has been read; with raw framing, bytes have been read. An end of input from the peer
 * (FIN) ends its requests: all that was admitted is answered and flushed, and only then our side is shut. Closing and
 * stopping end reading: what was admitted is answered, a partial frame is dropped.
 */
/* Generated from crates/reactor-capi by cargo xtask header: change it there. */
#ifndef REACTOR_H
#define REACTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REACTOR_VERSION_MAJOR 0
#define REACTOR_VERSION_MINOR 1
#define REACTOR_VERSION_PATCH 0
#define REACTOR_VERSION_NUMBER 100 /* major * 10000 + minor * 100 + patch */

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Types ------------------------------------------------------------------------------------ */

/** As an index of a reactor thread: all of them together. */
#define REACTOR_ALL UINT32_MAX

/** What became of a call: 0 is success, every failure is negative. */
typedef enum reactor_status {
  /** Success. */
  REACTOR_STATUS_OK = 0,
  /** NULL where an object is due, a number out of range, an option that contradicts another or the mode. */
  REACTOR_STATUS_INVALID_ARGUMENT = -1,
  /** Not `HOST:PORT`, `[V6]:PORT` or `unix:PATH`, or no host given. */
  REACTOR_STATUS_INVALID_ADDRESS = -2,
  /** Another socket listens there. */
  REACTOR_STATUS_ADDRESS_IN_USE = -3,
  /** No interface of this machine has the address. */
  REACTOR_STATUS_ADDRESS_UNAVAILABLE = -4,
  /** The operating system does not permit it to this process. */
  REACTOR_STATUS_PERMISSION_DENIED = -5,
  /** The connection, or the reactor, has ended. */
  REACTOR_STATUS_GONE = -6,
  /** The bytes would pass a limit. */
  REACTOR_STATUS_OVER_LIMIT = -7,
  /** A blocking call made inside a callback. */
  REACTOR_STATUS_WOULD_DEADLOCK = -8,
  /** No descriptor, thread or memory is left. */
  REACTOR_STATUS_OUT_OF_RESOURCES = -9,
  /** A callback had not returned when the deadline came. */
  REACTOR_STATUS_TIMED_OUT = -10,
  /** Any other error of the operating system. */
  REACTOR_STATUS_IO = -11,
  /** A bug in the library, caught at its boundary. */
  REACTOR_STATUS_PANIC = -12,
} reactor_status;

/** How the work is spread over threads. The guarantees are the same in each. */
typedef enum reactor_mode {
  /** One thread does I/O and runs the callback. */
  REACTOR_MODE_SINGLE = 0,
  /** One reactor thread does I/O, worker threads run the callback. */
  REACTOR_MODE_POOLED = 1,
  /** A main reactor accepts; sub-reactors, a thread each, own the connections. */
  REACTOR_MODE_MULTI = 2,
} reactor_mode;

/** Which requests of one connection may run at once, and in which order their replies leave. */
typedef enum reactor_order {
  /**
   * One call at a time for each connection; replies in request order. Raw bytes that arrive before a request has
   * begun join it, up to max_frame_bytes.
   */
  REACTOR_ORDER_SERIAL = 0,
  /** A connection's requests run at once; replies still in request order. */
  REACTOR_ORDER_PARALLEL = 1,
  /**
   * A connection's requests run at once, each reply is sent as soon as it is ready; start refuses it with raw
   * framing.
   */
  REACTOR_ORDER_UNORDERED = 2,
} reactor_order;

/** Why a connection ended. */
typedef enum reactor_close_reason {
  /** The peer finished, everything was answered. */
  REACTOR_CLOSE_PEER = 0,
  /** This program closed it: reactor_close, reactor_abort, or a reply that closes. */
  REACTOR_CLOSE_LOCAL = 1,
  /** The reactor stopped. */
  REACTOR_CLOSE_SHUTDOWN = 2,
  /** The peer reset it, or a read or write failed. */
  REACTOR_CLOSE_RESET = 3,
  /** No byte either way for the idle timeout. */
  REACTOR_CLOSE_IDLE_TIMEOUT = 4,
  /** A frame was begun and not finished in time. */
  REACTOR_CLOSE_FRAME_TIMEOUT = 5,
  /** The peer did not take its output in time. */
  REACTOR_CLOSE_WRITE_TIMEOUT = 6,
  /** A frame would have passed max_frame_bytes. */
  REACTOR_CLOSE_FRAME_TOO_LARGE = 7,
  /** The framing refused the bytes, or a partial frame stood at the end of input. */
  REACTOR_CLOSE_PROTOCOL_ERROR = 8,
  /** A deferred reply was too large. */
  REACTOR_CLOSE_OUTPUT_LIMIT = 9,
  /** The process callback returned non-zero, or a deferred reply failed. */
  REACTOR_CLOSE_CALLBACK_FAILED = 10,
} reactor_close_reason;

/** A running server; owned by the caller from reactor_start to reactor_free. */
typedef struct reactor reactor;

/** A promise to answer later; made by reactor_reply_defer, and kept by one of the functions here. */
typedef struct reactor_deferred reactor_deferred;

/** Settings for a start; owned by the caller. */
typedef struct reactor_options reactor_options;

/** The answer being written; lent to the process callback until it returns. */
typedef struct reactor_reply reactor_reply;

/**
 * One request.
 *
 * Parameters:
 * - `user_data`: what reactor_options_set_user_data was given, else NULL.
 * - `data`: exactly the bytes that were received, as the framing cut them; valid until the return; never NULL.
 * - `len`: how many there are; at least 1, but for an empty payload where the framing strips.
 * - `reply`: where the answer is written; valid until the return; never NULL.
 *
 * Returns: 0: the reply is sent; one never written to sends nothing. Any other number: the reply is discarded, and
 * the connection is closed with REACTOR_CLOSE_CALLBACK_FAILED once the replies before it are out; later requests of
 * it are not begun, and the replies of those running are dropped. A deferred reply that was completed by then is the
 * answer until the failure is known: it may have left, and the replies that follow it in order too.
 *
 * Threads: the reactor's in SINGLE and in MULTI without workers, else a worker's. With workers, requests of several
 * connections run at once, those of one connection as reactor_order says.
 *
 * Since: 0.1
 */
typedef int32_t (*reactor_process_fn)(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply);

/** What became of connections and requests once a stop was asked for. */
typedef struct reactor_drain_report {
  /** The caller sets it to sizeof(reactor_drain_report). */
  size_t struct_size;
  /** Connections of which everything was answered and flushed. */
  uint64_t connections_drained;
  /** Connections cut at the deadline, or before it with something unanswered or unsent. */
  uint64_t connections_aborted;
  /**
   * Requests answered after the stop was asked for, counted as the replies of reactor_stats are: their replies may be
   * lost with a connection that is cut.
   */
  uint64_t requests_completed;
  /** Requests admitted, and not answered by the deadline. */
  uint64_t requests_abandoned;
  /**
   * Output that the operating system had not taken by the deadline, in bytes. Replies that waited for an earlier one
   * are not in it.
   */
  uint64_t bytes_unsent;
  /** Callbacks that had not returned by the deadline; 0 unless REACTOR_STATUS_TIMED_OUT. */
  uint64_t callbacks_running;
} reactor_drain_report;

/**
 * Names one connection. An id is never given to a second connection of the same reactor, so a late one is always safe
 * to use. 0 names none.
 */
typedef uint64_t reactor_conn;

/** What was counted since the start; what says "now" goes up and down. */
typedef struct reactor_stats {
  /** The caller sets it to sizeof(reactor_stats). */
  size_t struct_size;
  /** Reactor threads that own connections; 1 where one is asked for. */
  uint64_t reactors;
  /** Connections open now. */
  uint64_t connections_open;
  /** Connections accepted, those that were then refused included. */
  uint64_t connections_accepted;
  /** Connections refused by on_open or by max_connections. */
  uint64_t connections_refused;
  /** Connections ended by a timeout. */
  uint64_t connections_timed_out;
  /** Connections that the peer reset, or of which a read or write failed. */
  uint64_t connections_reset;
  /** Accepts that failed: no descriptor, no memory, aborted in the queue. Counted for REACTOR_ALL alone. */
  uint64_t accept_errors;
  /** Requests handed to the process callback or, with workers, to their queue. */
  uint64_t requests;
  /**
   * Requests answered, also by an empty reply or none. Counted once the reply is finished: it may still wait for an
   * earlier one, or be lost with its connection.
   */
  uint64_t replies;
  /** Requests on which the process callback returned non-zero, and deferred replies that failed. */
  uint64_t callback_failures;
  /** Requests admitted and not answered, now. */
  uint64_t requests_in_flight;
  /** Bytes read. */
  uint64_t bytes_in;
  /** Bytes written. */
  uint64_t bytes_out;
  /** Buffered input, requests in flight and unsent output, now, in bytes, as memory_limit_bytes counts them. */
  uint64_t memory_bytes;
  /** Times that backpressure stopped the reading of a connection. */
  uint64_t reads_paused;
  /** From request complete to callback begun, in microseconds: the 99th percentile of those sampled. */
  uint64_t queue_wait_us_p99;
  /** The process callback's own time, in microseconds: the 99th percentile of those sampled. */
  uint64_t process_us_p99;
  /** The longest turn of an event loop, in microseconds. */
  uint64_t loop_busy_us_max;
} reactor_stats;

/**
 * A connection was accepted.
 *
 * Parameters:
 * - `user_data`: what reactor_options_set_user_data was given, else NULL.
 * - `conn`: its id, which may be used at once: what reactor_send sends from here is the greeting.
 * - `peer`: "HOST:PORT" of the other side, empty for unix sockets; valid until the return; never NULL.
 * - `conn_data`: `*conn_data` starts as NULL; what is put there stays with the connection; never NULL.
 *
 * Returns: false drops the connection at once: no other callback is called for it. Without this callback every
 * connection is taken.
 *
 * Threads: the reactor's that owns the connection.
 *
 * Since: 0.1
 */
typedef bool (*reactor_open_fn)(void *user_data, reactor_conn conn, const char *peer, void **conn_data);

/**
 * The connection's last callback, exactly once for each that on_open took; no process call for it is still running.
 * Deferred replies may still be open: keep no conn_data in one.
 *
 * Parameters:
 * - `user_data`: what reactor_options_set_user_data was given, else NULL.
 * - `conn`: its id.
 * - `reason`: a reactor_close_reason.
 * - `os_error`: errno where `reason` is REACTOR_CLOSE_RESET, else 0.
 * - `conn_data`: what on_open set; its last use is here.
 *
 * Threads: the reactor's that owned the connection.
 *
 * Since: 0.1
 */
typedef void (*reactor_close_fn)(void *user_data, reactor_conn conn, uint32_t reason, int32_t os_error, void *conn_data);

/**
 * Where does the first frame of these bytes end? Each connection's bytes are asked about anew once more have come, so
 * that it need keep no state but what `seen` says.
 *
 * Parameters:
 * - `user_data`: what reactor_options_set_user_data was given, else NULL.
 * - `conn_data`: what on_open set, else NULL.
 * - `data`: the bytes from the beginning of a frame on; valid until the return; never NULL.
 * - `len`: how many there are; at least 1.
 * - `seen`: how many of them an earlier call for this frame has had, so that none need be looked at twice.
 *
 * Returns: above 0: the frame is that many bytes long; where that is more than `len`, the next call comes once there
 * are at least so many. 0: it cannot tell yet. Below 0: this is not the protocol; the connection is closed with
 * REACTOR_CLOSE_PROTOCOL_ERROR once what was admitted is answered. An end beyond max_frame_bytes closes it with
 * REACTOR_CLOSE_FRAME_TOO_LARGE.
 *
 * Threads: the reactor's that owns the connection.
 *
 * Since: 0.1
 */
typedef ptrdiff_t (*reactor_frame_fn)(void *user_data, void *conn_data, const uint8_t *data, size_t len, size_t seen);

/**
 * A message of the library's, for people to read. It must call nothing of the library.
 *
 * Parameters:
 * - `user_data`: what reactor_set_log was given.
 * - `level`: 1 error, 2 warn, 3 info, 4 debug, 5 trace.
 * - `target`: the part of the library that it comes from; UTF-8; valid until the return; never NULL.
 * - `message`: what happened, to which connection, and why, in one line of UTF-8; valid until the return; never NULL.
 *
 * Threads: any of the library's, and those that call it, several at once.
 *
 * Since: 0.1
 */
typedef void (*reactor_log_fn)(void *user_data, uint32_t level, const char *target, const char *message);

/* ---- Status ----------------------------------------------------------------------------------- */

/**
 * The name of a status without its prefix, such as "ADDRESS_IN_USE".
 *
 * Parameters:
 * - `status`: any number.
 *
 * Returns: the name, never NULL; "UNKNOWN" for a number that no status has.
 *
 * Ownership: the string is the library's, and static.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
const char *reactor_status_name(int32_t status);

/**
 * One sentence that says what a status means. What happened in one case, reactor_last_error tells.
 *
 * Parameters:
 * - `status`: any number.
 *
 * Returns: the sentence, never NULL.
 *
 * Ownership: the string is the library's, and static.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
const char *reactor_status_message(int32_t status);

/**
 * The status of the calling thread's last failed call; successful calls leave it alone.
 *
 * Parameters: none.
 *
 * Returns: the status; REACTOR_STATUS_OK where no call of this thread has failed.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any; each has its own.
 *
 * Since: 0.1
 */
reactor_status reactor_last_status(void);

/**
 * The whole story of the calling thread's last failed call: what was tried, on what, and the operating system's
 * reason.
 *
 * Parameters: none.
 *
 * Returns: the story in UTF-8, never NULL; empty where no call of this thread has failed.
 *
 * Ownership: the string is the library's, and valid until this thread's next call of the library.
 *
 * Threads: any; each has its own.
 *
 * Since: 0.1
 */
const char *reactor_last_error(void);

/**
 * The version of the library that is running, as REACTOR_VERSION_NUMBER is that of the header compiled against.
 *
 * Parameters: none.
 *
 * Returns: major * 10000 + minor * 100 + patch.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
uint32_t reactor_version_number(void);

/**
 * The version of the library that is running, such as "0.1.0".
 *
 * Parameters: none.
 *
 * Returns: the version, never NULL.
 *
 * Ownership: the string is the library's, and static.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
const char *reactor_version(void);

/* ---- Start and stop --------------------------------------------------------------------------- */

/**
 * Starts a server with default options. It is listening when this returns; callbacks may run before.
 *
 * Parameters:
 * - `addr`: where to listen: `127.0.0.1:3001`, `[::1]:3001`, `localhost:3001` (a name: the first of its addresses that
 *   can be bound, IPv4 first), `unix:/run/x.sock`; port 0 picks one, which reactor_local_address tells; not NULL.
 * - `mode`: a reactor_mode.
 * - `process`: called with each request; not NULL.
 *
 * Returns: the reactor; NULL on failure, and then no callback was or will be called, and reactor_last_status() says:
 * - REACTOR_STATUS_INVALID_ARGUMENT: `addr` or `process` is NULL; no mode has the number `mode`.
 * - REACTOR_STATUS_INVALID_ADDRESS: `addr` is not an address, has no host, or is not UTF-8.
 * - REACTOR_STATUS_ADDRESS_IN_USE: another socket listens there.
 * - REACTOR_STATUS_ADDRESS_UNAVAILABLE: no interface of this machine has the address.
 * - REACTOR_STATUS_PERMISSION_DENIED: the operating system does not permit it, such as a port below 1024.
 * - REACTOR_STATUS_OUT_OF_RESOURCES: no descriptor, thread or memory is left.
 * - REACTOR_STATUS_IO: any other error of the operating system.
 *
 * Ownership: the reactor is the caller's, to be given to reactor_free; `addr` is copied.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor *reactor_start(const char *addr, uint32_t mode, reactor_process_fn process);

/**
 * As reactor_start, with options.
 *
 * Parameters:
 * - `addr`, `mode`, `process`: as in reactor_start.
 * - `options`: may be NULL: all defaults.
 *
 * Returns: as reactor_start, and further:
 * - REACTOR_STATUS_INVALID_ARGUMENT: an option contradicts the mode (reactors but for MULTI, workers in SINGLE, 0
 *   workers in POOLED) or another option (UNORDERED with raw framing; max_frame_bytes below the framing's smallest
 *   frame; memory_limit_bytes below max_frame_bytes for each reactor); the options carry a user_data_free, and a
 *   reactor was started with them before.
 *
 * Ownership: as in reactor_start. The options stay the caller's, and are copied: they may be freed or changed right
 * after. The user_data of options with a user_data_free is the reactor's from here on; where start fails, still the
 * caller's.
 *
 * Threads: any; the options are not to be changed or freed meanwhile.
 *
 * Since: 0.1
 */
reactor *reactor_start_with(const char *addr,
                            uint32_t mode,
                            reactor_process_fn process,
                            const reactor_options *options);

/**
 * The reactor whose callback the calling thread is in: callbacks need no global for it, and it is there for those
 * that run before reactor_start has returned.
 *
 * Parameters: none.
 *
 * Returns: the reactor; NULL outside callbacks, and in one that was still running when its reactor was freed.
 *
 * Ownership: the reactor stays its owner's.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor *reactor_current(void);

/**
 * The address that the reactor listens at, with the port that was picked where 0 was asked for.
 *
 * Parameters:
 * - `reactor`: not NULL.
 * - `buffer`: where the address is written, NUL-terminated and cut to `capacity`; NULL only where `capacity` is 0.
 * - `capacity`: bytes of `buffer`; with 0 nothing is written.
 *
 * Returns: the length of the whole address without the NUL, as snprintf does: it was cut where that is not less than
 * `capacity`. 0 where an argument that must not be NULL is, and reactor_last_status() is then
 * REACTOR_STATUS_INVALID_ARGUMENT.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
size_t reactor_local_address(const reactor *reactor, char *buffer, size_t capacity);

/**
 * Asks the reactor to stop: it stops accepting and reading, answers what was admitted, flushes, closes, and cuts what
 * is left at the deadline. Returns at once. Asked several times, the earliest deadline holds.
 *
 * Parameters:
 * - `reactor`: not NULL.
 * - `drain_timeout_ms`: milliseconds from now to the deadline; 0 cuts at once.
 *
 * Returns:
 * - REACTOR_STATUS_OK: it stops, or had stopped.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `reactor` is NULL.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any, callbacks and signal handlers included: it takes no lock, allocates nothing, and keeps errno and the
 * last error as they are.
 *
 * Since: 0.1
 */
reactor_status reactor_request_stop(reactor *reactor, uint32_t drain_timeout_ms);

/**
 * Blocks until the reactor has stopped: every on_close has run, then user_data_free. It asks for no stop by itself.
 *
 * Parameters:
 * - `reactor`: not NULL.
 * - `report`: what became of connections and requests; may be NULL. Its struct_size is to be set.
 *
 * Returns:
 * - REACTOR_STATUS_OK: it has stopped, and no callback runs any more.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `reactor` is NULL; the report's struct_size is smaller than in 0.1.
 * - REACTOR_STATUS_WOULD_DEADLOCK: the calling thread is in a callback of this reactor.
 * - REACTOR_STATUS_TIMED_OUT: the deadline passed while a callback was still running, which may be user_data_free
 *   itself; on_close and user_data_free follow that callback's return. The one failure that writes the report.
 *
 * Ownership: nothing changes hands; the reactor still has to be freed.
 *
 * Threads: any, several at once, but for callbacks of this reactor.
 *
 * Since: 0.1
 */
reactor_status reactor_wait(reactor *reactor, reactor_drain_report *report);

/**
 * reactor_request_stop, then reactor_wait.
 *
 * Parameters:
 * - `reactor`: not NULL.
 * - `drain_timeout_ms`: as in reactor_request_stop.
 * - `report`: as in reactor_wait; may be NULL.
 *
 * Returns:
 * - REACTOR_STATUS_OK: it has stopped, and no callback runs any more.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `reactor` is NULL; the report's struct_size is smaller than in 0.1. Nothing was
 *   asked for.
 * - REACTOR_STATUS_WOULD_DEADLOCK: the calling thread is in a callback of this reactor. The stop was asked for.
 * - REACTOR_STATUS_TIMED_OUT: as in reactor_wait.
 *
 * Ownership: nothing changes hands; the reactor still has to be freed.
 *
 * Threads: any, several at once, but for callbacks of this reactor.
 *
 * Since: 0.1
 */
reactor_status reactor_stop(reactor *reactor, uint32_t drain_timeout_ms, reactor_drain_report *report);

/**
 * Frees the reactor; one that still runs is stopped first, with no drain.
 *
 * Parameters:
 * - `reactor`: may be NULL: nothing is done.
 *
 * Returns:
 * - REACTOR_STATUS_OK: it is gone, and no callback runs any more.
 * - REACTOR_STATUS_WOULD_DEADLOCK: the calling thread is in a callback of this reactor. Nothing was freed, nothing
 *   was stopped.
 * - REACTOR_STATUS_TIMED_OUT: a callback is still running; on_close and user_data_free follow its return. The handle
 *   is gone all the same, and reactor_current() is NULL from here on in that callback and in those that follow it.
 *
 * Ownership: the reactor is given back. This is the last use of the handle, waits in other threads included.
 *
 * Threads: any, but for callbacks of this reactor.
 *
 * Since: 0.1
 */
reactor_status reactor_free(reactor *reactor);

/* ---- Inside the process callback -------------------------------------------------------------- */

/**
 * Appends bytes to the reply.
 *
 * Parameters:
 * - `reply`: the reply that the process callback was lent; not NULL.
 * - `data`: the bytes; NULL only where `len` is 0.
 * - `len`: how many; 0 makes an empty reply a reply, which a framing that strips sends as an empty frame.
 *
 * Returns:
 * - REACTOR_STATUS_OK: they are part of the reply.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `reply` is NULL; `data` is NULL and `len` is not 0; no object is `len` bytes
 *   long; the reply is deferred.
 * - REACTOR_STATUS_OVER_LIMIT: the reply would pass output_limit_bytes, or what its length prefix can
 *   count; it stays as it was.
 *
 * Ownership: the bytes are copied.
 *
 * Threads: the callback's.
 *
 * Since: 0.1
 */
reactor_status reactor_reply_write(reactor_reply *reply, const void *data, size_t len);

/**
 * Room at the end of the reply, to be filled in place and taken by reactor_reply_commit; what is not committed is not
 * sent.
 *
 * Parameters:
 * - `reply`: the reply that the process callback was lent; not NULL.
 * - `len`: bytes of room; may be 0.
 *
 * Returns: the room; NULL on failure, and reactor_last_status() then says:
 * - REACTOR_STATUS_INVALID_ARGUMENT: `reply` is NULL; the reply is deferred.
 * - REACTOR_STATUS_OVER_LIMIT: the reply would pass output_limit_bytes, or what its length prefix can
 *   count; it stays as it was.
 *
 * Ownership: the room is the library's, and lent until the next reactor_reply call on this reply or the callback's
 * return.
 *
 * Threads: the callback's.
 *
 * Since: 0.1
 */
uint8_t *reactor_reply_reserve(reactor_reply *reply, size_t len);

/**
 * Makes the first bytes of what reactor_reply_reserve lent part of the reply; the rest of the room is given back.
 *
 * Parameters:
 * - `reply`: the reply that the process callback was lent; not NULL.
 * - `len`: how many bytes; at most as many as were reserved; 0 makes an empty reply a reply, as in
 *   reactor_reply_write.
 *
 * Returns:
 * - REACTOR_STATUS_OK: they are part of the reply.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `reply` is NULL; `len` is more than was reserved since the last reactor_reply
 *   call; the reply is deferred.
 *
 * Ownership: the room is the library's again.
 *
 * Threads: the callback's.
 *
 * Since: 0.1
 */
reactor_status reactor_reply_commit(reactor_reply *reply, size_t len);

/**
 * Closes the connection once this reply is sent; later requests of it are not begun.
 *
 * Parameters:
 * - `reply`: the reply that the process callback was lent; not NULL.
 *
 * Returns:
 * - REACTOR_STATUS_OK: it will be closed, with REACTOR_CLOSE_LOCAL.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `reply` is NULL; the reply is deferred.
 *
 * Ownership: nothing changes hands; the reply may still be written to.
 *
 * Threads: the callback's.
 *
 * Since: 0.1
 */
reactor_status reactor_reply_close(reactor_reply *reply);

/**
 * The connection that asked.
 *
 * Parameters:
 * - `reply`: the reply that the process callback was lent; not NULL.
 *
 * Returns: its id; 0 where `reply` is NULL, and reactor_last_status() is then REACTOR_STATUS_INVALID_ARGUMENT.
 *
 * Ownership: nothing changes hands; the id may be kept for ever.
 *
 * Threads: the callback's.
 *
 * Since: 0.1
 */
reactor_conn reactor_reply_conn(const reactor_reply *reply);

/**
 * What on_open set for the connection that asked.
 *
 * Parameters:
 * - `reply`: the reply that the process callback was lent; not NULL.
 *
 * Returns: that pointer; NULL where on_open set none, or `reply` is NULL (reactor_last_status() is then
 * REACTOR_STATUS_INVALID_ARGUMENT).
 *
 * Ownership: what it points to is the caller's, and in use until on_close has been called for the connection.
 *
 * Threads: the callback's.
 *
 * Since: 0.1
 */
void *reactor_reply_conn_data(const reactor_reply *reply);

/**
 * Answers later, from any thread: the reply stays open in its place in the order (with REACTOR_ORDER_SERIAL the next
 * request waits for it) until the promise is kept. What was written before is the reply's beginning; from here on the
 * reply calls that change it are REACTOR_STATUS_INVALID_ARGUMENT. The callback then returns 0.
 *
 * Parameters:
 * - `reply`: the reply that the process callback was lent; not NULL.
 *
 * Returns: the promise; NULL on failure, and reactor_last_status() then says:
 * - REACTOR_STATUS_INVALID_ARGUMENT: `reply` is NULL, or is deferred already.
 *
 * Ownership: the promise is the caller's, and has to be given, once, to reactor_deferred_complete,
 * reactor_deferred_complete_and_close or reactor_deferred_fail, before or after the callback returns, and also where
 * the callback returns non-zero. Until then the connection waits. It may outlive connection and reactor.
 *
 * Threads: the callback's.
 *
 * Since: 0.1
 */
reactor_deferred *reactor_reply_defer(reactor_reply *reply);

/* ---- Deferred replies ------------------------------------------------------------------------- */

/**
 * Sends a deferred reply: what was written before it was deferred, then these bytes.
 *
 * Parameters:
 * - `deferred`: the promise; not NULL.
 * - `data`: the rest of the reply; NULL only where `len` is 0.
 * - `len`: how many bytes; 0 makes an empty reply a reply.
 *
 * Returns:
 * - REACTOR_STATUS_OK: the reply has its place in the order, and is sent when its turn comes. It is dropped where the
 *   connection ends before, or was sent its last reply already: see reactor_send.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `deferred` is NULL; `data` is NULL and `len` is not 0, or no object is `len`
 *   bytes long: the reply then fails, as with reactor_deferred_fail.
 * - REACTOR_STATUS_OVER_LIMIT: the whole reply would pass output_limit_bytes, or what its length prefix can count; the
 *   connection is closed with REACTOR_CLOSE_OUTPUT_LIMIT once the replies before it are out.
 * - REACTOR_STATUS_GONE: the connection or the reactor has ended; nothing was done.
 *
 * Ownership: the promise is the library's again, whatever is returned; the bytes are copied.
 *
 * Threads: any, callbacks included; after reactor_free too.
 *
 * Since: 0.1
 */
reactor_status reactor_deferred_complete(reactor_deferred *deferred, const void *data, size_t len);

/**
 * As reactor_deferred_complete; the connection is closed with REACTOR_CLOSE_LOCAL once the reply is sent, and later
 * requests of it are not begun.
 *
 * Parameters:
 * - `deferred`: the promise; not NULL.
 * - `data`: the rest of the reply; NULL only where `len` is 0.
 * - `len`: how many bytes; 0 makes an empty reply a reply.
 *
 * Returns:
 * - REACTOR_STATUS_OK: as in reactor_deferred_complete.
 * - REACTOR_STATUS_INVALID_ARGUMENT: as in reactor_deferred_complete.
 * - REACTOR_STATUS_OVER_LIMIT: as in reactor_deferred_complete.
 * - REACTOR_STATUS_GONE: the connection or the reactor has ended; nothing was done.
 *
 * Ownership: the promise is the library's again, whatever is returned; the bytes are copied.
 *
 * Threads: any, callbacks included; after reactor_free too.
 *
 * Since: 0.1
 */
reactor_status reactor_deferred_complete_and_close(reactor_deferred *deferred, const void *data, size_t len);

/**
 * Discards a deferred reply, what was written before included; the connection is closed with
 * REACTOR_CLOSE_CALLBACK_FAILED once the replies before it are out.
 *
 * Parameters:
 * - `deferred`: the promise; not NULL.
 *
 * Returns:
 * - REACTOR_STATUS_OK: the connection will be closed.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `deferred` is NULL.
 * - REACTOR_STATUS_GONE: the connection or the reactor has ended; nothing was done.
 *
 * Ownership: the promise is the library's again, whatever is returned.
 *
 * Threads: any, callbacks included; after reactor_free too.
 *
 * Since: 0.1
 */
reactor_status reactor_deferred_fail(reactor_deferred *deferred);

/* ---- From any thread -------------------------------------------------------------------------- */

/**
 * Queues bytes that no request asked for. Where the framing strips they are framed as one message. They never leave
 * inside a reply; sent in a process callback to the connection that asked, they leave before that callback's reply.
 * From on_open they are the greeting.
 *
 * Parameters:
 * - `reactor`: not NULL.
 * - `conn`: any number: an id of a connection that has ended, and one that never was, is safe. An id of another
 *   reactor may name a connection of this one.
 * - `data`: the bytes; NULL only where `len` is 0.
 * - `len`: how many; with 0 nothing is sent, but for an empty message where the framing strips.
 *
 * Returns:
 * - REACTOR_STATUS_OK: queued; not yet sent, and dropped where the connection ends before. One that was sent its last
 *   reply and our FIN counts as open until its peer has closed too, or for 2 s: nothing more leaves by it.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `reactor` is NULL; `data` is NULL and `len` is not 0; no object is `len` bytes
 *   long.
 * - REACTOR_STATUS_GONE: the connection or the reactor has ended.
 * - REACTOR_STATUS_OVER_LIMIT: the connection's unsent output would pass output_limit_bytes, the connections together
 *   stand at memory_limit_bytes, or the length prefix cannot count so many; nothing was queued.
 *
 * Ownership: the bytes are copied.
 *
 * Threads: any, callbacks included.
 *
 * Since: 0.1
 */
reactor_status reactor_send(reactor *reactor, reactor_conn conn, const void *data, size_t len);

/**
 * As reactor_send, to every open connection; one whose output is full is skipped. One copy of the bytes serves all.
 * From on_open it is also the greeting of the new connection, which does not count as open yet.
 *
 * Parameters:
 * - `reactor`: not NULL.
 * - `data`: the bytes; NULL only where `len` is 0.
 * - `len`: how many.
 * - `reached`: where the number of connections that were open when it was queued is written, those that are skipped
 *   included; may be NULL.
 *
 * Returns:
 * - REACTOR_STATUS_OK: queued; not yet sent, and not yet known who is skipped.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `reactor` is NULL; `data` is NULL and `len` is not 0; no object is `len` bytes
 *   long.
 * - REACTOR_STATUS_GONE: the reactor has ended.
 * - REACTOR_STATUS_OVER_LIMIT: the bytes alone pass output_limit_bytes, the connections together stand at
 *   memory_limit_bytes, or the length prefix cannot count so many; nothing was queued.
 *
 * Ownership: the bytes are copied.
 *
 * Threads: any, callbacks included.
 *
 * Since: 0.1
 */
reactor_status reactor_broadcast(reactor *reactor, const void *data, size_t len, uint64_t *reached);

/**
 * Ends a connection in good order: it is read no more, what was admitted is answered, all is flushed, then it is
 * closed with REACTOR_CLOSE_LOCAL. Returns at once.
 *
 * Parameters:
 * - `reactor`: not NULL.
 * - `conn`: any number, as in reactor_send.
 *
 * Returns:
 * - REACTOR_STATUS_OK: it will be closed, or is being closed.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `reactor` is NULL.
 * - REACTOR_STATUS_GONE: the connection or the reactor has ended.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any, callbacks included.
 *
 * Since: 0.1
 */
reactor_status reactor_close(reactor *reactor, reactor_conn conn);

/**
 * Cuts a connection now, unsent bytes and all; on_close comes with REACTOR_CLOSE_LOCAL once no process callback for it
 * runs any more. Returns at once.
 *
 * Parameters:
 * - `reactor`: not NULL.
 * - `conn`: any number, as in reactor_send.
 *
 * Returns:
 * - REACTOR_STATUS_OK: it will be cut.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `reactor` is NULL.
 * - REACTOR_STATUS_GONE: the connection or the reactor has ended.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any, callbacks included.
 *
 * Since: 0.1
 */
reactor_status reactor_abort(reactor *reactor, reactor_conn conn);

/**
 * Who is at the other end of a connection: "HOST:PORT".
 *
 * Parameters:
 * - `reactor`: not NULL.
 * - `conn`: any number, as in reactor_send.
 * - `buffer`: where the address is written, NUL-terminated and cut to `capacity`; NULL only where `capacity` is 0.
 * - `capacity`: bytes of `buffer`; with 0 nothing is written.
 *
 * Returns: the length of the whole address without the NUL, as snprintf does: it was cut where that is not less than
 * `capacity`. 0, and an empty string, for a unix socket, whose peer has no address. 0 on failure, and
 * reactor_last_status() then says:
 * - REACTOR_STATUS_INVALID_ARGUMENT: `reactor` is NULL; `buffer` is NULL and `capacity` is not 0.
 * - REACTOR_STATUS_GONE: the connection or the reactor has ended.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any, callbacks included.
 *
 * Since: 0.1
 */
size_t reactor_peer_address(reactor *reactor, reactor_conn conn, char *buffer, size_t capacity);

/**
 * What the reactor has counted. The numbers are read one by one while it runs: they need not be of one instant. They
 * stay readable after the stop, until reactor_free.
 *
 * Parameters:
 * - `reactor`: not NULL.
 * - `index`: of one reactor thread, 0 to the number of reactors - 1, or REACTOR_ALL.
 * - `stats`: where they are written; not NULL. Its struct_size is to be set.
 *
 * Returns:
 * - REACTOR_STATUS_OK: written.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `reactor` or `stats` is NULL; no reactor thread has the number `index`; the
 *   struct_size is smaller than in 0.1.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any, callbacks included.
 *
 * Since: 0.1
 */
reactor_status reactor_get_stats(const reactor *reactor, uint32_t index, reactor_stats *stats);

/* ---- Options ---------------------------------------------------------------------------------- */

/**
 * Options, all at their defaults.
 *
 * Parameters: none.
 *
 * Returns: the options; NULL only after a bug in the library, and reactor_last_status() is then REACTOR_STATUS_PANIC.
 *
 * Ownership: the options are the caller's, to be given to reactor_options_free.
 *
 * Threads: any. Like every object but the reactor, options are used by one thread at a time.
 *
 * Since: 0.1
 */
reactor_options *reactor_options_new(void);

/**
 * Frees options. Reactors started with them are not affected.
 *
 * Parameters:
 * - `options`: may be NULL: nothing is done.
 *
 * Ownership: the options are given back. The user_data of options that have started no reactor is still the caller's:
 * user_data_free is not called.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
void reactor_options_free(reactor_options *options);

/**
 * What every callback gets as its first argument. Default: NULL.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `user_data`: may be NULL.
 * - `user_data_free`: called once, as the reactor's last callback; never where start fails; may be NULL. Options that
 *   carry one start one reactor; setting the user data anew makes them fit for one more.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL.
 *
 * Ownership: with a user_data_free, `user_data` is the reactor's once one has started; else it stays the caller's,
 * and in use until reactor_wait has returned REACTOR_STATUS_OK.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_user_data(reactor_options *options,
                                             void *user_data,
                                             void (*user_data_free)(void *user_data));

/**
 * What is called for each connection that is accepted. Default: none, every connection is taken.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `on_open`: may be NULL: none.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_on_open(reactor_options *options, reactor_open_fn on_open);

/**
 * What is called for each connection that has ended. Default: none.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `on_close`: may be NULL: none.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_on_close(reactor_options *options, reactor_close_fn on_close);

/**
 * Cuts no requests: the process callback gets whatever has arrived, up to max_frame_bytes. This is the default; the
 * last framing that was set wins.
 *
 * Parameters:
 * - `options`: not NULL.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_framing_raw(reactor_options *options);

/**
 * Cuts a request at each delimiter. The process callback gets the frame whole, its delimiter with it, so that
 * echoing it gives back the same bytes. One that would pass max_frame_bytes, the delimiter included, ends the
 * connection with REACTOR_CLOSE_FRAME_TOO_LARGE. Default: raw.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `delimiter`: its bytes; not NULL.
 * - `len`: how many: 1 to 16.
 * - `strip`: whether the process callback gets the payload alone, and each reply and send is framed the same way on
 *   its way out; a delimiter inside a payload is the caller's business.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` or `delimiter` is NULL; `len` is 0 or above 16.
 *
 * Ownership: the delimiter is copied.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_framing_delimiter(reactor_options *options,
                                                     const void *delimiter,
                                                     size_t len,
                                                     bool strip);

/**
 * Cuts requests that begin with the number of bytes that follow. The process callback gets the frame whole, its
 * prefix with it, so that echoing it gives back the same bytes. One that would pass max_frame_bytes, the prefix
 * included, ends the connection with REACTOR_CLOSE_FRAME_TOO_LARGE as soon as its prefix is read. Default: raw.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `width`: bytes of the prefix: 1, 2, 4 or 8. It counts the payload, not itself.
 * - `big_endian`: whether its most significant byte comes first.
 * - `strip`: whether the process callback gets the payload alone, and each reply and send is framed the same way on
 *   its way out; one too long for its prefix is REACTOR_STATUS_OVER_LIMIT.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `width` is none of these.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_framing_length_prefix(reactor_options *options,
                                                         uint32_t width,
                                                         bool big_endian,
                                                         bool strip);

/**
 * Cuts requests of one size. Default: raw.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `frame_bytes`: the size, in bytes; at least 1. Start refuses one above max_frame_bytes.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `frame_bytes` is 0.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_framing_fixed(reactor_options *options, size_t frame_bytes);

/**
 * Cuts requests where a callback says. The process callback gets the frame whole. Default: raw.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `frame`: asked where a frame ends; not NULL.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` or `frame` is NULL.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_framing_custom(reactor_options *options, reactor_frame_fn frame);

/**
 * Which requests of one connection may run at once, and in which order their replies leave. Default:
 * REACTOR_ORDER_SERIAL.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `order`: a reactor_order. Start refuses REACTOR_ORDER_UNORDERED with raw framing.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; no order has the number `order`.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_order(reactor_options *options, uint32_t order);

/**
 * Reactor threads that own connections, in MULTI; the other modes have one, and start refuses the option there.
 * Default: the number of cores.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `count`: 1 to 1024.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `count` is out of range.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_reactors(reactor_options *options, uint32_t count);

/**
 * Worker threads that run the process callback. Default: POOLED the number of cores; MULTI 0, the callback runs on
 * the reactor threads. SINGLE has none, and start refuses the option there.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `count`: 1 to 1024; 0 too, which start refuses for POOLED.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `count` is out of range.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_workers(reactor_options *options, uint32_t count);

/**
 * Connections open at once; those beyond are accepted and dropped. One that has ended counts for as long as a callback
 * runs for it. Default: the process's limit of descriptors less 64.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `count`: at least 1.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `count` is 0.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_max_connections(reactor_options *options, uint32_t count);

/**
 * Requests of one connection that are admitted and not yet answered, at which its reading pauses. Default: 64.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `count`: at least 1.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `count` is 0.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_max_in_flight(reactor_options *options, uint32_t count);

/**
 * The size of one frame, its delimiter or prefix included, in bytes: a larger one ends the connection, with
 * REACTOR_CLOSE_FRAME_TOO_LARGE, before it is buffered; raw input is cut there instead. Default: 1 MiB.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `bytes`: at least 1. Start refuses less than the framing's smallest frame.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `bytes` is 0.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_max_frame_bytes(reactor_options *options, size_t bytes);

/**
 * When backpressure sets in: once a connection has `high` bytes of unsent output and finished replies, it is not
 * read and none of its requests begins, until there are no more than `low`. Default: 32 KiB and 64 KiB.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `low`: bytes; at least 1.
 * - `high`: bytes; at least `low`.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `low` is 0, or above `high`.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_output_water_marks(reactor_options *options, size_t low, size_t high);

/**
 * The largest size of one reply, in bytes; and the size of a connection's unsent output past which sends to it are
 * refused. Default: 4 MiB.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `bytes`: at least 1.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `bytes` is 0.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_output_limit_bytes(reactor_options *options, size_t bytes);

/**
 * What all connections together may hold, in bytes: buffered input, requests in flight and unsent output, and a third
 * more for what the system's allocator needs beside them. Past it, each reactor thread reads one connection at a time,
 * and only to finish its frame, and sends are REACTOR_STATUS_OVER_LIMIT; all resumes at 7/8 of it. Where output that
 * nobody takes is the most of it, workers begin nothing either until it leaves, but for one each second up to a quarter
 * above the limit. Default: 256 MiB.
 * With glibc, while more than half of it is in use, and as it falls to a quarter and to nothing, a reactor thread calls
 * malloc_trim(0) now and then, so that the process gives back what it has free: see malloc_trim(3). That takes a tenth of
 * its time at the most, up to a half where a quarter of the limit is let go meanwhile.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `bytes`: at least 1. Start refuses less than max_frame_bytes for each reactor thread.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `bytes` is 0.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_memory_limit_bytes(reactor_options *options,
                                                      size_t bytes);

/**
 * How long a frame may take from its first byte to its last. A connection that takes longer is closed with
 * REACTOR_CLOSE_FRAME_TIMEOUT. Default: 60000 ms.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `ms`: milliseconds; 0 is none.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_frame_timeout_ms(reactor_options *options, uint32_t ms);

/**
 * How long a peer may take no byte of the output that is due to it. A connection that takes longer is closed with
 * REACTOR_CLOSE_WRITE_TIMEOUT. Default: 60000 ms.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `ms`: milliseconds; 0 is none.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_write_timeout_ms(reactor_options *options, uint32_t ms);

/**
 * How long a connection may have no byte either way and nothing in flight. A connection that takes longer is closed
 * with REACTOR_CLOSE_IDLE_TIMEOUT. Default: 0 ms, none.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `ms`: milliseconds; 0 is none.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_idle_timeout_ms(reactor_options *options, uint32_t ms);

/**
 * Connections that the operating system holds until they are accepted (listen(2)). Default: 4096.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `count`: at least 1.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `count` is 0.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_backlog(reactor_options *options, uint32_t count);

/**
 * Whether small writes leave at once (TCP_NODELAY). Default: true.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `on`: whether.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_nodelay(reactor_options *options, bool on);

/**
 * After how many seconds of silence TCP asks whether the peer is still there (SO_KEEPALIVE). Default: 0, off.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `seconds`: 1 to 32767, which is what the operating system takes; 0 is off.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `seconds` is above 32767.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_keepalive_s(reactor_options *options, uint32_t seconds);

/**
 * Whether several sockets may listen at the address, and share its connections (SO_REUSEPORT). Default: false.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `on`: whether.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_reuse_port(reactor_options *options, bool on);

/**
 * Who may connect to a unix:PATH socket: the permissions of its file (chmod(2)). Default: 0600, the owner alone.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `mode`: at most 0777 (octal).
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` is NULL; `mode` is above 0777.
 *
 * Ownership: nothing changes hands.
 *
 * Threads: any.
 *
 * Since: 0.1
 */
reactor_status reactor_options_set_unix_mode(reactor_options *options, uint32_t mode);

/* ---- Logging ---------------------------------------------------------------------------------- */

/**
 * Where the library's messages go: all reactors', for the whole process. Default: nowhere, at no cost. Ordinary events,
 * such as a connection that ends, are at level 4 and 5.
 *
 * Parameters:
 * - `log`: called with each message; NULL: nowhere.
 * - `user_data`: the callback's first argument; may be NULL.
 * - `max_level`: messages of this level and below: 1 error, 2 warn, 3 info, 4 debug, 5 trace. Not looked at where `log`
 *   is NULL.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set; no call of the former callback runs, nor will one come.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `max_level` is out of range; the former callback stays.
 * - REACTOR_STATUS_WOULD_DEADLOCK: the calling thread is in a log callback; the former callback stays.
 *
 * Ownership: nothing changes hands; `user_data` is in use until the callback is replaced.
 *
 * Threads: any, callbacks but for the log callback included. It waits for log callbacks that run: call it with no lock
 * held that one of them takes.
 *
 * Since: 0.1
 */
reactor_status reactor_set_log(reactor_log_fn log, void *user_data, uint32_t max_level);


#ifdef __cplusplus
}
#endif

#endif /* REACTOR_H */
