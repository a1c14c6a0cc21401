'use strict';
// Owns start and the Server that it gives: events, sends, stop. Knows nothing of how requests travel.

const { EventEmitter } = require('node:events');
const { load } = require('./native.js');
const { check } = require('./options.js');
const { startError, hasNoIpv6 } = require('./errors.js');
const { toBytes } = require('./bytes.js');
const { describe, textOf } = require('./describe.js');
const { Lane } = require('./lane.js');
const { Crew } = require('./crew.js');

const DRAIN_TIMEOUT_MS = 10_000;
/** Without a listener a handler's errors are warned of, so often at the most. */
const WARNING_MS = 1_000;
/** Keeps the process alive; its firing means nothing. */
const KEEP_ALIVE_MS = 2 ** 30;
const ASYNC_DISPOSE = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose');

function halves(id, name) {
  if (typeof id !== 'bigint') throw new TypeError(`${name} must be a bigint, and is ${describe(id)}`);
  // What is no number of 64 bits is the id of no connection, as 0 is.
  const known = id === BigInt.asUintN(64, id) ? id : 0n;
  return [Number(known & 0xffffffffn), Number(known >> 32n)];
}

class Server extends EventEmitter {
  #hub;
  #lane;
  #crew;
  #address;
  #keepAlive;
  #ended;
  #forgetSignal = () => {};
  /** A module's server is told of closed connections only while somebody listens for them. */
  #ownListeners = {
    newListener: (event) => event === 'connectionClose' && this.#hub.wantCloseEvents(true),
    removeListener: (event) => event === 'connectionClose' && this.#hub.wantCloseEvents(this.listenerCount(event) > 0),
  };
  #listening = true;
  /** From its last event on. A promise that the stop did not wait for may fail later. */
  #over = false;
  #warnedMs = -Infinity;

  constructor(key, hub) {
    super();
    if (key !== KEY) throw new TypeError('a Server is made by start');
    this.#hub = hub;
    this.#addOwnListeners();
  }

  static async start(checked) {
    const { Hub } = load();
    const hasModule = checked.handler.module !== undefined;
    const hub = new Hub(hasModule ? checked.workers : 1, checked.homes, hasModule);
    const server = new Server(KEY, hub);
    await server.#start(checked);
    return server;
  }

  async #start(checked) {
    const { signal } = checked;
    signal?.throwIfAborted();
    if (checked.handler.module === undefined) this.#serveHere(checked);
    else await this.#serveByWorkers(checked);
    let ended;
    this.#ended = new Promise((resolve) => (ended = resolve));
    try {
      signal?.throwIfAborted();
      this.#listen(checked, (report) => this.#end(report).then(ended));
    } catch (error) {
      this.#lane.detach();
      await this.#crew?.stop();
      throw error;
    }
    this.#address = this.#hub.address();
    this.#keepAlive = setInterval(() => {}, KEEP_ALIVE_MS);
    if (signal !== undefined) {
      const abort = () => this.#requestStop(0);
      signal.addEventListener('abort', abort, { once: true });
      this.#forgetSignal = () => signal.removeEventListener('abort', abort);
    }
  }

  /** At the first of the addresses that the system knows the family of. */
  #listen({ addresses, mode, native }, ended) {
    for (const [index, address] of addresses.entries()) {
      try {
        this.#hub.start(address, mode, native, ended);
        return;
      } catch (error) {
        if (index === addresses.length - 1 || !hasNoIpv6(error)) throw startError(error, address);
      }
    }
  }

  #serveHere(checked) {
    this.#lane = new Lane(this.#hub, 0, checked, {
      process: checked.handler.run,
      open: (connection) => this.emit('connection', connection),
      close: (_connection, reason, id) => this.emit('connectionClose', id, reason),
      failed: (error, connection) => this.#failed(error, connection?.id ?? 0n),
    });
  }

  async #serveByWorkers(checked) {
    this.#lane = new Lane(this.#hub, checked.workers, { homes: true, serial: true }, {
      close: (_connection, reason, id) => this.emit('connectionClose', id, reason),
      failed: (error) => this.#failed(error, 0n),
    });
    this.#crew = new Crew(this.#hub, checked, {
      failed: (error, id) => this.#failed(error, id),
      exit: (code) => this.#tell('workerExit', code),
      error: (error) => this.#error(error),
    });
    try {
      await this.#crew.start();
    } catch (error) {
      this.#lane.detach();
      throw error;
    }
  }

  #addOwnListeners() {
    for (const [event, own] of Object.entries(this.#ownListeners)) this.off(event, own).on(event, own);
  }

  /** Of everybody's but the library's own. */
  removeAllListeners(...events) {
    super.removeAllListeners(...events);
    this.#addOwnListeners();
    return this;
  }

  #requestStop(drainTimeoutMs) {
    this.#listening = false;
    this.#hub.requestStop(drainTimeoutMs);
  }

  /** The native server has stopped. */
  async #end(report) {
    this.#listening = false;
    this.#forgetSignal();
    this.#hub.ended();
    this.#lane.detach();
    await this.#crew?.stop();
    clearInterval(this.#keepAlive);
    this.#over = true;
    this.#tell('close', report);
    return report;
  }

  /** What a listener throws is its program's affair, and must not stop what we are about. */
  #tell(event, ...news) {
    try {
      this.emit(event, ...news);
    } catch (error) {
      process.nextTick(() => {
        throw error;
      });
    }
  }

  #failed(error, id) {
    if (!this.#over && this.listenerCount('handlerError') > 0) {
      this.#tell('handlerError', error, id);
      return;
    }
    const nowMs = performance.now();
    if (nowMs - this.#warnedMs < WARNING_MS) return;
    this.#warnedMs = nowMs;
    const warning = new Error(`a handler failed on connection ${id}: ${textOf(error)}`);
    warning.name = 'ReactorHandlerWarning';
    process.emitWarning(warning);
  }

  #error(error) {
    if (this.listenerCount('error') > 0) this.#tell('error', error);
    else process.emitWarning(error instanceof Error ? error : new Error(textOf(error)));
  }

  address() {
    const text = this.#address;
    if (text.startsWith('unix:')) return text.slice('unix:'.length);
    const split = text.lastIndexOf(':');
    const port = Number(text.slice(split + 1));
    const host = text.slice(0, split);
    if (host.startsWith('[')) return { address: host.slice(1, -1), family: 'IPv6', port };
    return { address: host, family: 'IPv4', port };
  }

  get listening() {
    return this.#listening;
  }

  send(connection, data) {
    return this.#hub.send(...halves(connection, 'connection'), toBytes(data, 'data'));
  }

  broadcast(data) {
    return this.#hub.broadcast(toBytes(data, 'data'));
  }

  closeConnection(connection) {
    return this.#hub.close(...halves(connection, 'connection'));
  }

  stats(reactor) {
    if (reactor !== undefined && (!Number.isInteger(reactor) || reactor < 0 || reactor > 0xffffffff)) {
      throw new TypeError(`reactor must be a whole number or undefined, and is ${describe(reactor)}`);
    }
    try {
      return this.#hub.stats(reactor);
    } catch (error) {
      throw startError(error, this.#address);
    }
  }

  stop(drainTimeoutMs = DRAIN_TIMEOUT_MS) {
    if (!Number.isInteger(drainTimeoutMs) || drainTimeoutMs < 0 || drainTimeoutMs > 0xffffffff) {
      const expected = 'a whole number of milliseconds from 0 to 4294967295';
      return Promise.reject(new TypeError(`drainTimeoutMs must be ${expected}, and is ${describe(drainTimeoutMs)}`));
    }
    this.#requestStop(drainTimeoutMs);
    this.ref();
    return this.#ended;
  }

  ref() {
    this.#keepAlive.ref();
    return this;
  }

  unref() {
    this.#keepAlive.unref();
    return this;
  }

  async [ASYNC_DISPOSE]() {
    await this.stop();
  }
}

const KEY = Symbol('start');

async function start(address, mode, process, options) {
  return Server.start(check(address, mode, process, options));
}

module.exports = { start };
