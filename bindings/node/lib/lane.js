'use strict';
// Owns a lane's JavaScript side: takes requests in packed batches, runs the handler, returns replies in packed batches.
// Knows nothing of threads. The layout of the batches is that of src/packing.rs: little-endian 32-bit words, as on every
// platform that Node runs on.

const { AsyncResource } = require('node:async_hooks');
const { isUint8Array } = require('node:util/types');
const { Connection } = require('./connection.js');
const { describe } = require('./describe.js');
const { Pace } = require('./pace.js');

const OPEN = 0;
const REQUEST = 1;

const SEND = 0;
const SKIP = 1;
const FAIL = 2;
const SEND_AND_CLOSE = 3;
const SKIP_AND_CLOSE = 4;

const REQUEST_BYTES = 20;
const REPLY_BYTES = 12;
const BATCH_BYTES = 256 * 1024;
/** The type by which async hooks know the scope of a connection. */
const SCOPE = 'ReactorConnection';
/** Batches in one go before other events of the thread have their turn. */
const BATCHES = 16;

const REASONS = [
  'peer',
  'local',
  'shutdown',
  'reset',
  'idle-timeout',
  'frame-timeout',
  'write-timeout',
  'frame-too-large',
  'protocol-error',
  'output-limit',
  'callback-failed',
];

class Lane {
  #hub;
  #native;
  #homes;
  #serial;
  #handler;
  #connections = new Map();
  #in = Buffer.from(new ArrayBuffer(BATCH_BYTES));
  #inWords = new Uint32Array(this.#in.buffer);
  #out = Buffer.from(new ArrayBuffer(BATCH_BYTES));
  #outWords = new Uint32Array(this.#out.buffer);
  #used = 0;
  #pace = new Pace();
  #working = false;
  #flushing = false;
  #detached = false;

  /**
   * handler: { process(data, connection), open?(connection), close?(connection, reason, id), failed(error, connection) }.
   * Each is called with no `this`, in the scope of its connection: what one enters there (AsyncLocalStorage.enterWith)
   * would else be there for all that come after it in this lane.
   * homes: the connections of this lane are here for life. serial: one request of a connection at a time.
   */
  constructor(hub, index, { homes, serial }, handler) {
    this.#hub = hub;
    this.#homes = homes;
    this.#serial = serial;
    this.#handler = handler;
    this.#native = hub.attach(index, () => this.#work());
  }

  /** What waits is taken, all of it, then nobody serves the lane any more. For when nothing more comes. */
  detach() {
    if (this.#detached) return;
    while (this.#work());
    this.#detached = true;
    this.#native.detach();
  }

  /** Says whether more may wait. */
  #work() {
    if (this.#working || this.#detached) return false;
    this.#working = true;
    // Until the lane is found empty its bell stays silent, and who comes again is we, even after an error.
    let empty = false;
    try {
      for (let batch = 0; batch < BATCHES; batch += 1) {
        const taken = this.#exchange(this.#in);
        empty = taken === 0;
        if (empty) return false;
        if (taken > 0) this.#dispatch(this.#in, this.#inWords, taken);
        else this.#takeLarge(-taken);
      }
      return true;
    } finally {
      this.#working = false;
      if (!empty) setImmediate(() => this.#work());
    }
  }

  #exchange(into) {
    const used = this.#used;
    this.#used = 0;
    return this.#native.exchange(this.#out, used, into);
  }

  #give() {
    const used = this.#used;
    this.#used = 0;
    if (used > 0) this.#native.give(this.#out, used);
  }

  /** An entry that is larger than a batch gets a buffer of its own. */
  #takeLarge(needed) {
    const buffer = Buffer.from(new ArrayBuffer(needed));
    const taken = this.#exchange(buffer);
    if (taken > 0) this.#dispatch(buffer, new Uint32Array(buffer.buffer), taken);
  }

  /**
   * Half-way the replies go back, so that by the end those who were answered have asked again and the lane never runs
   * dry; or sooner, where that would be long. Each by itself would cost the reactor a wake-up.
   */
  #dispatch(buffer, words, taken) {
    let due = taken / 2;
    this.#pace.begin();
    for (let at = 0; at < taken; ) {
      const word = at >> 2;
      const key = words[word + 1];
      const low = words[word + 2];
      const high = words[word + 3];
      const length = words[word + 4];
      const from = at + REQUEST_BYTES;
      at = from + ((length + 3) & ~3);
      const kind = words[word];
      if (kind === REQUEST) {
        this.#request(key, low, high, own(buffer, from, length));
        if (at < taken && (this.#pace.isOver() || at >= due)) {
          if (at >= due) due = taken;
          this.#give();
        }
      } else if (kind === OPEN) this.#open(low, high, buffer.latin1Slice(from, from + length));
      else this.#close(low, high, REASONS[key] ?? 'local');
    }
  }

  #open(low, high, address) {
    const connection = new Connection(this.#hub, low, high, this.#homes, address);
    const known = { high, connection, dropped: false, scope: new AsyncResource(SCOPE) };
    this.#connections.set(low, known);
    const drop = (error) => {
      known.dropped = true;
      this.#failed(error, known);
      this.#hub.close(low, high);
    };
    try {
      const { open } = this.#handler;
      if (open !== undefined) this.#unawaited(known.scope.runInAsyncScope(open, undefined, connection), drop);
    } catch (error) {
      drop(error);
    }
    return known;
  }

  #close(low, high, reason) {
    const found = this.#connections.get(low);
    const isKnown = found?.high === high;
    if (isKnown) this.#connections.delete(low);
    const known = isKnown ? found : { connection: undefined, scope: new AsyncResource(SCOPE) };
    const failed = (error) => this.#failed(error, known);
    try {
      const { close } = this.#handler;
      if (close === undefined) return;
      const id = (BigInt(high) << 32n) | BigInt(low);
      this.#unawaited(known.scope.runInAsyncScope(close, undefined, known.connection, reason, id), failed);
    } catch (error) {
      failed(error);
    }
  }

  /** Nothing waits for the promise that a hook returns, but its rejection is a throw of that hook. */
  #unawaited(returned, failed) {
    if (isThenable(returned)) Promise.prototype.then.call(Promise.resolve(returned), undefined, failed);
  }

  #known(low, high) {
    const known = this.#connections.get(low);
    if (known !== undefined && known.high === high) return known;
    // Its home was another thread, which has ended, or it has none.
    if (this.#homes) return this.#open(low, high);
    const connection = new Connection(this.#hub, low, high, false);
    return { high, connection, dropped: false, scope: new AsyncResource(SCOPE) };
  }

  #request(key, low, high, data) {
    const known = this.#known(low, high);
    const { connection } = known;
    if (known.dropped) {
      this.#pack(key, SKIP_AND_CLOSE, '');
      return;
    }
    Connection.begin(connection, key);
    let reply;
    try {
      reply = known.scope.runInAsyncScope(this.#handler.process, undefined, data, connection);
      if (isThenable(reply)) {
        this.#later(key, known, reply);
        return;
      }
      this.#answer(key, connection, reply);
    } catch (error) {
      this.#fail(key, known, error);
    }
  }

  #later(key, known, promise) {
    const { connection } = known;
    // In an order where requests run at once, close() before the first await closes after this reply, as everywhere; one
    // after it is not that of this request to tell, and closes the connection.
    const closes = !this.#serial && Connection.end(connection, key);
    // A thenable of somebody else's might settle twice, when its key is another request's; so might a promise with a
    // `then` of its own, which is passed by here as `await` does.
    Promise.prototype.then.call(
      Promise.resolve(promise),
      (reply) => {
        try {
          this.#answer(key, connection, reply, closes);
        } catch (error) {
          this.#fail(key, known, error);
        }
        this.#flushSoon();
      },
      (error) => {
        this.#fail(key, known, error);
        this.#flushSoon();
      },
    );
  }

  #fail(key, known, error) {
    Connection.end(known.connection, key);
    this.#pack(key, FAIL, '');
    this.#failed(error, known);
  }

  #failed(error, known) {
    known.scope.runInAsyncScope(this.#handler.failed, undefined, error, known.connection);
  }

  #answer(key, connection, reply, closing = false) {
    if (reply !== null && reply !== undefined && typeof reply !== 'string' && !isUint8Array(reply)) {
      throw new TypeError(`a handler returns a Uint8Array, a string, null or undefined, and returned ${describe(reply)}`);
    }
    const closes = Connection.end(connection, key) || closing;
    if (reply === null || reply === undefined) this.#pack(key, closes ? SKIP_AND_CLOSE : SKIP, '');
    else this.#pack(key, closes ? SEND_AND_CLOSE : SEND, reply);
  }

  #pack(key, act, reply) {
    const text = typeof reply === 'string';
    // A UTF-16 unit has at most three bytes in UTF-8.
    const most = text ? reply.length * 3 : reply.length;
    if (this.#used + REPLY_BYTES + most + 3 > BATCH_BYTES) {
      this.#give();
      if (REPLY_BYTES + most + 3 > BATCH_BYTES) {
        this.#native.reply(key, act, text ? Buffer.from(reply) : reply);
        return;
      }
    }
    const from = this.#used + REPLY_BYTES;
    let length = reply.length;
    if (length > 0) {
      if (text) length = this.#out.utf8Write(reply, from);
      else this.#out.set(reply, from);
    }
    const word = this.#used >> 2;
    this.#outWords[word] = key;
    this.#outWords[word + 1] = act;
    this.#outWords[word + 2] = length;
    this.#used = from + ((length + 3) & ~3);
  }

  /** Promises that settle together go back together. */
  #flushSoon() {
    if (this.#flushing || this.#working) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.#work();
    });
  }
}

function isThenable(value) {
  return value !== null && typeof value === 'object' && typeof value.then === 'function';
}

/**
 * The handler's own copy: it may be kept. Small ones share Node's pool of 8 KiB, so keeping one keeps 8 KiB at the most;
 * one that is most of its batch would be no smaller as a copy.
 */
function own(buffer, from, length) {
  const copy = Buffer.allocUnsafe(length);
  if (length > 0) buffer.copy(copy, 0, from, from + length);
  return copy;
}

module.exports = { Lane };
