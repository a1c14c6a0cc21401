/*
 * # libreactor
 *
 * A TCP server for any language. You bring one function, bytes in and bytes out; the library brings accept, read,
 * framing, ordering, backpressure, limits and an orderly stop. A whole program:
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
 * is given back to the _free of its type, once, as its last use. _free(NULL) does nothing. A reply is lent to the
 * process callback, and no use of it is valid after that callback's return.
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
 * A reactor may be used from any thread, several at once, callbacks included. Options and replies are used by one
 * thread at a time. "Inside a callback", where a blocking call is refused, means a callback of the same reactor.
 *
 * Callbacks run on the library's threads, those of several connections at once: what user_data points to is for the
 * caller to protect. The library blocks all signals in its own threads, installs no signal handler, raises no SIGPIPE,
 * and reads no environment. In a child made by fork, no function may be called but _exit and exec.
 *
 * # Callbacks
 *
 * A callback is a function of the type that this header gives it, callable until reactor_wait has returned
 * REACTOR_STATUS_OK. Every one gets as its first argument what reactor_options_set_user_data was given, else NULL. The
 * first may run before reactor_start has returned; reactor_current() is there for those. If start fails, none was or
 * will be called.
 *
 * A callback must not unwind out of itself: an exception that leaves one ends the process with a message on stderr,
 * the one thing that the library ever prints. longjmp out of a callback, or ending its thread, is undefined. What a
 * callback is lent (data, peer, reply) it keeps no longer than its return.
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

/** Why a connection ended. */
typedef enum reactor_close_reason {
  /** The peer finished, everything was answered. */
  REACTOR_CLOSE_PEER = 0,
  /** The process callback closed it. */
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
  /** A reply could not be framed within its limits. */
  REACTOR_CLOSE_OUTPUT_LIMIT = 9,
  /** The process callback returned non-zero. */
  REACTOR_CLOSE_CALLBACK_FAILED = 10,
} reactor_close_reason;

/** A running server; owned by the caller from reactor_start to reactor_free. */
typedef struct reactor reactor;

/** Settings for a start; owned by the caller. */
typedef struct reactor_options reactor_options;

/** The answer being written; lent to the process callback until it returns. */
typedef struct reactor_reply reactor_reply;

/**
 * One request.
 *
 * Parameters:
 * - `user_data`: what reactor_options_set_user_data was given, else NULL.
 * - `data`: exactly the bytes that were received; valid until the return; never NULL.
 * - `len`: how many there are; at least 1.
 * - `reply`: where the answer is written; valid until the return; never NULL.
 *
 * Returns: 0: the reply is sent; one never written to sends nothing. Any other number: the reply is discarded, and
 * the connection is closed with REACTOR_CLOSE_CALLBACK_FAILED once the replies before it are out; later requests of
 * it are not begun, and the replies of those running are dropped.
 *
 * Threads: the reactor's in SINGLE and in MULTI without workers, else a worker's. Requests of one connection come one
 * at a time, those of several connections at once.
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
  /** Connections cut at the deadline. */
  uint64_t connections_aborted;
  /** Requests answered after the stop was asked for. */
  uint64_t requests_completed;
  /** Requests admitted, and not answered by the deadline. */
  uint64_t requests_abandoned;
  /** Bytes of output that the peers had not taken by the deadline. */
  uint64_t bytes_unsent;
  /** Callbacks that had not returned by the deadline; 0 unless REACTOR_STATUS_TIMED_OUT. */
  uint64_t callbacks_running;
} reactor_drain_report;

/**
 * Names one connection. An id is never given to a second connection of the same reactor, so a late one is always safe
 * to use. 0 names none.
 */
typedef uint64_t reactor_conn;

/**
 * A connection was accepted.
 *
 * Parameters:
 * - `user_data`: what reactor_options_set_user_data was given, else NULL.
 * - `conn`: its id.
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
 * - REACTOR_STATUS_INVALID_ARGUMENT: an option contradicts the mode or another option; the options carry a
 *   user_data_free, and a reactor was started with them before.
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
 * - REACTOR_STATUS_TIMED_OUT: the deadline passed while a callback was still running; on_close and user_data_free
 *   follow that callback's return. The one failure that writes the report.
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
 * - `len`: how many; 0 makes an empty reply a reply.
 *
 * Returns:
 * - REACTOR_STATUS_OK: they are part of the reply.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `reply` is NULL; `data` is NULL and `len` is not 0; no object is `len` bytes
 *   long.
 * - REACTOR_STATUS_OVER_LIMIT: the reply would be larger than 4 MiB; it stays as it was.
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
 * - REACTOR_STATUS_INVALID_ARGUMENT: `reply` is NULL.
 * - REACTOR_STATUS_OVER_LIMIT: the reply would be larger than 4 MiB; it stays as it was.
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
 * - `len`: how many bytes; at most as many as were reserved.
 *
 * Returns:
 * - REACTOR_STATUS_OK: they are part of the reply.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `reply` is NULL; `len` is more than was reserved since the last reactor_reply
 *   call.
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
 * - REACTOR_STATUS_INVALID_ARGUMENT: `reply` is NULL.
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
 * Cuts a request at each delimiter. The process callback gets the frame whole, its delimiter with it, so that echoing
 * it gives back the same bytes. One that would pass max_frame_bytes ends the connection. Default: raw.
 *
 * Parameters:
 * - `options`: not NULL.
 * - `delimiter`: its bytes; not NULL.
 * - `len`: how many: 1 to 16.
 * - `strip`: false; frames without their delimiter come with a later version.
 *
 * Returns:
 * - REACTOR_STATUS_OK: set.
 * - REACTOR_STATUS_INVALID_ARGUMENT: `options` or `delimiter` is NULL; `len` is 0 or above 16; `strip` is true.
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
 * Connections open at once; those beyond are accepted and dropped. Default: the process's limit of descriptors less
 * 64.
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
 * The size of one frame, its delimiter included, in bytes: a larger one ends the connection before it is buffered;
 * raw input is cut there instead. Default: 1 MiB.
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
reactor_status reactor_options_set_max_frame_bytes(reactor_options *options, size_t bytes);

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
 * - `seconds`: seconds; 0 is off.
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


#ifdef __cplusplus
}
#endif

#endif /* REACTOR_H */
