// The API of the package, for `require('reactor')` and `import … from 'reactor'` alike. Sizes are in bytes, times in
// milliseconds, unless a name says otherwise.

/// <reference types="node" />
import { EventEmitter } from 'node:events';

/**
 * How many native reactor threads own the sockets. The guarantees are the same in each.
 *
 * - `'single'`: one. A module has one worker.
 * - `'pooled'`: one. A module has `workers` of them.
 * - `'multi'`: one that accepts, and `reactors` more, each owning some of the connections. A module has `workers`.
 *
 * A function runs on the thread that called {@link start} in every mode.
 */
export type Mode = 'single' | 'pooled' | 'multi';

/**
 * Which requests of one connection may run at once, and in which order their replies leave. Connections never wait for
 * each other.
 *
 * - `'serial'`: one at a time; the next begins when the promise of the one before has settled. Raw bytes that arrive
 *   before a request has begun join it, up to `maxFrameBytes`.
 * - `'parallel'`: up to `maxInFlight` at once; replies leave in request order all the same.
 * - `'unordered'`: up to `maxInFlight` at once, each reply as soon as it is ready; {@link start} refuses it with raw
 *   framing.
 */
export type Order = 'serial' | 'parallel' | 'unordered';

/**
 * Why a connection ended.
 *
 * - `'peer'`: the peer finished, and everything was answered.
 * - `'local'`: this program closed it.
 * - `'shutdown'`: the server stopped.
 * - `'reset'`: the peer reset it, or a read or write failed.
 * - `'idle-timeout'`: no byte either way for `idleTimeoutMs`.
 * - `'frame-timeout'`: a frame was begun and not finished in `frameTimeoutMs`.
 * - `'write-timeout'`: the peer took none of its output for `writeTimeoutMs`.
 * - `'frame-too-large'`: a frame would have passed `maxFrameBytes`.
 * - `'protocol-error'`: a partial frame stood at the end of input.
 * - `'output-limit'`: a reply was larger than `outputLimitBytes`, or too long for its length prefix.
 * - `'callback-failed'`: the handler threw, its promise was rejected, it returned what is no {@link Reply}, or its
 *   worker died while it ran.
 */
export type CloseReason =
  | 'peer'
  | 'local'
  | 'shutdown'
  | 'reset'
  | 'idle-timeout'
  | 'frame-timeout'
  | 'write-timeout'
  | 'frame-too-large'
  | 'protocol-error'
  | 'output-limit'
  | 'callback-failed';

/**
 * One connection, as its handler sees it: the same object for as long as it lives. (A module in an order other than
 * `'serial'` gets one for each request.) It may be kept; once the connection has ended, its methods do nothing. It
 * belongs to the thread whose handler got it: to reach a connection from another thread, hand over the `id`.
 */
export interface Connection {
  /** Names the connection in its server, on every thread; never given to a second one. */
  readonly id: bigint;
  /** `HOST:PORT` of the peer, IPv6 hosts in brackets; empty for a client of a unix socket. */
  readonly remoteAddress: string;
  /**
   * The handler's own state for this connection; undefined at first. In `'serial'` order a connection stays with one
   * worker for life, so a module may use it too; in the other orders a module's connection has no one home, and reading
   * or writing it throws.
   */
  state: unknown;
  /**
   * Sends bytes that no request asked for, framed as one message where the framing strips. In a handler they leave
   * before that handler's reply, never inside one. The bytes are copied.
   *
   * @param data bytes, or text to be sent as UTF-8
   * @returns whether they were queued: false where the connection has ended, or its unsent output would pass
   *   `outputLimitBytes`, or the memory of all connections `memoryLimitBytes`
   * @throws TypeError where `data` is neither
   */
  send(data: Uint8Array | string): boolean;
  /**
   * Reads no more, answers what was admitted, flushes, closes. Inside a handler: after this reply, and no later request
   * is begun; where requests of a connection run at once, that holds until the handler's first await. The reason is
   * `'local'`. (In `'serial'` order it is inside for as long as a request of the connection runs, whoever calls it:
   * those that were read behind that one are dropped. {@link Server.closeConnection} answers them.)
   */
  close(): void;
}

/**
 * What a handler answers: bytes, or text to be sent as UTF-8, or null or undefined for no reply at all. `''` and empty
 * bytes are an empty frame where the framing strips, and send nothing elsewhere. The bytes are copied when the handler
 * returns or its promise resolves; after that they may be changed.
 */
export type Reply = Uint8Array | string | null | undefined | void;

/**
 * The compute step: one call for each request, with exactly the bytes that were received, as the framing cut them.
 * `data` is the handler's own: it may be kept and changed. What it returns, or what the promise it returns resolves to,
 * is sent in its place in the connection's order.
 *
 * A throw or a rejection closes that connection with `'callback-failed'`, once the replies before it are out, and is
 * reported by `'handlerError'` (without a listener: a process warning, one a second at most); it never ends the
 * process. A promise that never settles holds its place: `maxInFlight` bounds how many there are, and the deadline of
 * {@link Server.stop} ends them.
 *
 * It must not wait with a blocking call for anything that its own thread is to do.
 *
 * It runs with no `this`, in its connection's async context, as what hears of the connection's open and close does:
 * what one connection enters there (AsyncLocalStorage.enterWith of node:async_hooks), no other one sees.
 */
export type Process = (data: Buffer, connection: Connection) => Reply | Promise<Reply>;

/**
 * What a handler module exports. An ES module exports the names; a CommonJS module sets `module.exports` to such an
 * object, or to the compute step itself, with the other two as its properties. Each worker loads the module once, so
 * its variables are each worker's own.
 */
export interface HandlerModule {
  /** The compute step. */
  default: Process;
  /**
   * Called before the connection's first request, in `'serial'` order on the worker that is its home. A throw drops the
   * connection, and is reported by `'handlerError'`. So does the rejection of a promise that it returns; requests do
   * not wait for that promise.
   */
  open?(connection: Connection): void;
  /**
   * Called after the connection's last request, in `'serial'` order on the worker that is its home. A throw, or the
   * rejection of a promise that it returns, is reported by `'handlerError'`.
   */
  close?(connection: Connection, reason: CloseReason): void;
}

/**
 * How the stream of bytes is cut into requests. A frame reaches the handler whole, its delimiter or prefix with it, so
 * that echoing it gives back the same bytes; with `strip` (default: false) the handler gets the payload alone, and each
 * reply and each send is framed the same way on its way out.
 *
 * - `'raw'`: not at all; a request is whatever has arrived.
 * - `delimiter`: 1 to 16 bytes that end each frame; a string is UTF-8. One inside a stripped payload that is sent is
 *   the caller's business.
 * - `lengthPrefix`: each frame begins with the number of bytes that follow it, so many bytes wide; `endian` (default:
 *   `'big'`) is their order.
 * - `fixed`: frames of so many bytes each, at least 1.
 */
export type Framing =
  | 'raw'
  | { delimiter: string | Uint8Array; strip?: boolean }
  | { lengthPrefix: 1 | 2 | 4 | 8; endian?: 'big' | 'little'; strip?: boolean }
  | { fixed: number };

/**
 * Settings for {@link start}; each may be left out. A number is a whole one. A wrong type is a TypeError; a number out
 * of range, or what contradicts the mode or another option, an Error of code ERR_REACTOR_INVALID_ARGUMENT; both name
 * the option. So is a name that is none of these.
 */
export interface Options {
  /** How requests are cut. Default: `'raw'`. */
  framing?: Framing;
  /** Which requests of one connection may run at once. Default: `'serial'`. */
  order?: Order;
  /** Reactor threads that own connections, 1 to 1024; in mode `'multi'` alone. Default: as many as there are cores. */
  reactors?: number;
  /**
   * Worker threads that run a handler module, 1 to 1024, in modes `'pooled'` and `'multi'`. Default: as many as there
   * are cores. In `'single'` a module has one worker, and with a function, which always runs on the thread that called
   * {@link start}, there are none: there the option is refused.
   */
  workers?: number;
  /** Passed on to each `new Worker` as node:worker_threads has them; what is left out has that module's default. */
  workerOptions?: { env?: NodeJS.ProcessEnv; execArgv?: string[]; resourceLimits?: object; workerData?: unknown };
  /**
   * Connections open at once, at least 1; those beyond are accepted and dropped. Default: the process's limit of
   * descriptors less 64.
   */
  maxConnections?: number;
  /**
   * Requests of one connection admitted and not yet answered, at which its reading pauses; at least 1. Default: 64.
   * (Reading pauses, too, while 8192 requests, or 4 MiB of them, of all connections together wait for a thread of
   * JavaScript.)
   */
  maxInFlight?: number;
  /**
   * Largest frame in bytes, its delimiter or prefix included; a larger one ends the connection. Raw requests are cut
   * there. At least 1, at most 2 GiB - 32. Default: 1 MiB.
   */
  maxFrameBytes?: number;
  /**
   * Bytes of a connection's unsent output at which it is neither read nor given a new request (`high`), and down to
   * which it then waits (`low`); 1 <= low <= high. Default: 32 and 64 KiB.
   */
  outputWaterMarks?: { low: number; high: number };
  /** Largest reply in bytes, and the unsent output past which a send is refused; at least 1. Default: 4 MiB. */
  outputLimitBytes?: number;
  /**
   * Bytes of buffered input, requests in flight and unsent output of all connections together; at least `maxFrameBytes`
   * for each reactor. At the limit reading pauses and sends are refused. Default: 256 MiB.
   */
  memoryLimitBytes?: number;
  /** From a frame's first byte to its last, in milliseconds; 0: no limit. Default: 60 000. */
  frameTimeoutMs?: number;
  /** For a peer to take any of the output that waits for it, in milliseconds; 0: no limit. Default: 60 000. */
  writeTimeoutMs?: number;
  /** With no byte either way and nothing in flight, in milliseconds; 0: no limit. Default: 0. */
  idleTimeoutMs?: number;
  /** Connections that the operating system holds until they are accepted, at least 1. Default: 4096. */
  backlog?: number;
  /** Whether small writes leave at once (TCP_NODELAY). Default: true. */
  noDelay?: boolean;
  /**
   * Seconds of silence after which TCP asks whether the peer is there (SO_KEEPALIVE); at most 32767; 0: never.
   * Default: 0.
   */
  keepAliveSeconds?: number;
  /** Whether several servers may share the port (SO_REUSEPORT). Default: false. */
  reusePort?: boolean;
  /** Permissions of the socket file of a unix address, at most 0o777. Default: 0o600. */
  unixMode?: number;
  /** Aborting it stops the server with no drain. Aborted before the start: {@link start} rejects with its reason. */
  signal?: AbortSignal;
}

/** What became of connections and requests once a stop was asked for. */
export interface DrainReport {
  /** Connections of which everything was answered and flushed. */
  connectionsDrained: number;
  /** Connections cut at the deadline, or before it with something unanswered or unsent. */
  connectionsAborted: number;
  /**
   * Requests answered after the stop was asked for, counted as `replies` of the stats are: their replies may be lost
   * with a connection that is cut.
   */
  requestsCompleted: number;
  /** Requests admitted, and not answered by the deadline: handlers that had not returned or settled are among them. */
  requestsAbandoned: number;
  /**
   * Output that the operating system had not taken by the deadline, in bytes. Replies that waited for an earlier one
   * are not in it.
   */
  bytesUnsent: number;
  /** Native callbacks that had not returned by the deadline. JavaScript handlers count in `requestsAbandoned`. */
  callbacksRunning: number;
}

/** What was counted since the start; what says "now" goes up and down. */
export interface Stats {
  /** Reactor threads that own connections; 1 where one is asked for. */
  reactors: number;
  /** Connections open now. */
  connectionsOpen: number;
  /** Connections accepted, those that were then refused included. */
  connectionsAccepted: number;
  /** Connections refused: by `maxConnections`, or since 65 536 news of others waited for JavaScript. */
  connectionsRefused: number;
  /** Connections ended by a timeout. */
  connectionsTimedOut: number;
  /** Connections that the peer reset, or of which a read or write failed. */
  connectionsReset: number;
  /** Accepts that failed: no descriptor, no memory, aborted in the queue. Counted for all reactors together alone. */
  acceptErrors: number;
  /** Requests handed over to JavaScript's queues. */
  requests: number;
  /**
   * Requests answered, also by an empty reply or none. Counted once the reply is finished: it may still wait for an
   * earlier one, or be lost with its connection.
   */
  replies: number;
  /** Requests whose handler failed. */
  callbackFailures: number;
  /** Requests admitted and not answered, now. */
  requestsInFlight: number;
  /** Bytes read. */
  bytesIn: number;
  /** Bytes written. */
  bytesOut: number;
  /** Buffered input, requests in flight and unsent output, now, in bytes. */
  memoryBytes: number;
  /** Times that backpressure stopped the reading of a connection. */
  readsPaused: number;
  /** From request complete to its hand-over begun, in microseconds: the 99th percentile of those sampled. */
  queueWaitUsP99: number;
  /** The hand-over to JavaScript's queue, in microseconds: the 99th percentile of those sampled. */
  processUsP99: number;
  /** The longest turn of a native event loop, in microseconds. */
  loopBusyUsMax: number;
}

/**
 * A running server, made by {@link start}. It keeps the process alive until it has stopped, unless {@link unref} was
 * called. It belongs to the thread that started it; when that thread ends, it stops with no drain.
 */
export interface Server extends EventEmitter {
  /**
   * Where it listens: the port that was picked, if 0 was asked for; the path of a unix socket as a string. It may be
   * asked after the stop, too.
   */
  address(): { address: string; family: 'IPv4' | 'IPv6'; port: number } | string;
  /** Whether it accepts connections: true from the start until a stop was asked for. */
  readonly listening: boolean;
  /**
   * Sends bytes that no request asked for, as {@link Connection.send} does, to the connection with this id.
   *
   * @returns whether they were queued; false, too, for an id that no connection has
   * @throws TypeError where `connection` is no bigint or `data` neither bytes nor a string
   */
  send(connection: bigint, data: Uint8Array | string): boolean;
  /**
   * Sends to every open connection; one whose output is full is skipped. One copy of the bytes serves all.
   *
   * @returns how many connections were open when it was queued; 0 where memory is at its limit or the server has
   *   stopped
   * @throws TypeError where `data` is neither bytes nor a string
   */
  broadcast(data: Uint8Array | string): number;
  /**
   * Answers what that connection has asked, flushes, closes it.
   *
   * @returns false where it has ended
   * @throws TypeError where `connection` is no bigint
   */
  closeConnection(connection: bigint): boolean;
  /**
   * What was counted, by one reactor or by all together.
   *
   * @param reactor its number, from 0; left out: all together
   * @throws TypeError where `reactor` is no whole number; an Error of code ERR_REACTOR_INVALID_ARGUMENT where there is
   *   no such reactor, of code ERR_REACTOR_GONE once the server has stopped
   */
  stats(reactor?: number): Stats;
  /**
   * Stops accepting, answers what was admitted, flushes, closes; cuts what is left after `drainTimeoutMs`. May be
   * called any number of times, after the stop too: the earliest deadline holds, and every call gets the same report.
   * Resolves when all of it is done and the workers have ended; keeps the process alive until then.
   *
   * @param drainTimeoutMs milliseconds, 0 to cut at once. Default: 10 000.
   * @returns rejects with a TypeError where `drainTimeoutMs` is no such number, and with nothing else
   */
  stop(drainTimeoutMs?: number): Promise<DrainReport>;
  /** Keeps the process alive from here on, as it does from the start. */
  ref(): this;
  /** Lets the process end while the server runs; its end stops the server with no drain. */
  unref(): this;
  /** {@link stop} with its default, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
  /**
   * A connection was accepted: before its first request, on the thread that called {@link start}. With a handler
   * function alone; a module's workers hear of it by its `open`. A throw drops the connection, and is reported by
   * `'handlerError'`.
   */
  on(event: 'connection', listener: (connection: Connection) => void): this;
  /** The server has stopped, however that came about; the last event. */
  on(event: 'close', listener: (report: DrainReport) => void): this;
  /** A connection has ended, after its last request. */
  on(event: 'connectionClose', listener: (id: bigint, reason: CloseReason) => void): this;
  /**
   * A handler failed, and its connection is closed for it. `error` is what it threw; from a worker it is a copy with
   * the same name, message, stack and code. A worker that died of an error tells it here too, with the id 0n. Without a
   * listener, and for what fails after `'close'`: a process warning, one a second at most.
   */
  on(event: 'handlerError', listener: (error: Error, connectionId: bigint) => void): this;
  /** A worker has died; its requests in flight fail their connections, and another takes its place. */
  on(event: 'workerExit', listener: (exitCode: number) => void): this;
  /** No worker could be started in place of one that died; it is tried again. Without a listener: a process warning. */
  on(event: 'error', listener: (error: Error) => void): this;
}

/**
 * Where to listen: `'HOST:PORT'`, `'[V6]:PORT'` or `'unix:PATH'`; or host and port, all interfaces where the host is
 * left out (those of IPv4 where the system has no IPv6); or the path of a unix socket. Port 0 picks a free one. A host
 * name is resolved, and the first of its addresses that can be bound is taken, IPv4 first.
 */
export type Address = string | { host?: string; port: number } | { path: string };

/**
 * Starts a server. It listens when the promise resolves, and no event comes before the code after `await` has run.
 *
 * @example
 * const server = await start('127.0.0.1:3001', 'single', (data) => data);
 *
 * @param address where to listen
 * @param mode how many native reactors own the sockets
 * @param process a function, which runs on this thread in every mode; or the path (relative to the working directory)
 *   or file: URL of a {@link HandlerModule} (CommonJS or ESM), which runs on worker threads in parallel: requests reach
 *   them straight from the native reactor and never pass through this thread. All workers have loaded it when the
 *   promise resolves.
 * @param options settings that differ from the defaults
 * @returns the running server. Rejects with an Error whose code is Node's own for the case (EADDRINUSE, EACCES,
 *   EADDRNOTAVAIL), with syscall, address and port as node:net sets them; or ERR_REACTOR_INVALID_ADDRESS,
 *   ERR_REACTOR_INVALID_ARGUMENT, ERR_REACTOR_OUT_OF_RESOURCES or ERR_REACTOR_IO; with a TypeError where a type is
 *   wrong; and with the module's own error where it does not load. Nothing is left running then.
 */
export function start(
  address: Address,
  mode: Mode,
  process: Process | string | URL,
  options?: Options,
): Promise<Server>;

/** The version of this package, such as `'0.1.0'`. */
export const version: string;
