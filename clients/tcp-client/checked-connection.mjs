// Owns one connection: it writes its messages, ends its side, and compares what comes back while it comes. Knows
// nothing of processes, options or printing.

import net from 'node:net';
import { MessageStream } from './message-stream.mjs';

const WRITE_BYTES = 64 * 1024;

/**
 * What became of a connection. `mismatch` or `error` says it in words, never both: wrong bytes are a mismatch, whatever
 * came after them; bytes missing because of an error are the error. Neither: everything came back, and nothing else.
 *
 * @typedef {{messages: number, bytes: number, mismatch: string | undefined, error: string | undefined}} Outcome
 */

/** One connection, opened by its construction. */
export class CheckedConnection {
  /** @type {Promise<Outcome>} */
  closed;

  #socket;
  #address;
  #sent;
  #expected;
  #onData;
  #bytes = 0;
  #messages = 0;
  #mismatch;
  #error;

  /**
   * @param {{host: string, port: number, onData: (data: Buffer) => void, pid: number, index: number,
   *   messages: number, sizeBytes: number | undefined}} settings
   */
  constructor(settings) {
    const host = net.isIPv6(settings.host) ? `[${settings.host}]` : settings.host;
    this.#address = `${host}:${settings.port}`;
    this.#sent = new MessageStream(settings);
    this.#expected = new MessageStream(settings);
    this.#onData = settings.onData;
    this.#socket = net.connect({
      host: settings.host,
      port: settings.port,
      // The peer's FIN must not end our side for us: a server that closes early is to be seen as one.
      allowHalfOpen: true,
      // Or a name with two addresses is given up after 250 ms, and a full backlog needs longer.
      autoSelectFamily: false,
      noDelay: true,
    });
    this.#socket.on('connect', () => this.#send());
    this.#socket.on('drain', () => this.#send());
    this.#socket.on('data', (data) => this.#receive(data));
    this.#socket.on('end', () => this.#end());
    this.#socket.on('error', (error) => this.#fail(error.message));
    this.closed = new Promise((resolve) => this.#socket.on('close', () => resolve(this.#outcome())));
  }

  /** Ends it now; an error, unless it has closed by itself. */
  abort(reason) {
    if (!this.#socket.closed) {
      this.#fail(reason);
      this.#socket.destroy();
    }
  }

  // One write for each message, or part of a large one; when the socket is full, 'drain' calls again.
  #send() {
    while (!this.#sent.ended) {
      const message = this.#sent.completed;
      this.#socket.cork();
      let hasRoom = true;
      while (hasRoom && this.#sent.completed === message) {
        hasRoom = this.#socket.write(this.#sent.read(WRITE_BYTES));
      }
      this.#socket.uncork();
      if (!hasRoom) {
        return;
      }
    }
    this.#socket.end();
  }

  #receive(data) {
    this.#bytes += data.length;
    this.#onData(data);
    let at = 0;
    while (at < data.length && this.#mismatch === undefined) {
      const { message, offset } = this.#expected;
      const piece = this.#expected.read(data.length - at);
      const got = data.subarray(at, at + piece.length);
      if (piece.length === 0) {
        this.#mismatch = `more came back than was sent: ${data.length - at} bytes or more`;
      } else if (!piece.equals(got)) {
        this.#mismatch = describeDifference(message, offset, piece, got);
      } else {
        this.#messages = this.#expected.completed;
      }
      at += piece.length;
    }
  }

  #end() {
    if (!this.#socket.writableFinished) {
      // Nothing more can come back: to send the rest would only be work.
      this.#socket.destroy();
    }
  }

  #fail(message) {
    this.#error ??= message.includes(this.#address) ? message : `${this.#address}: ${message}`;
  }

  /** @returns {Outcome} */
  #outcome() {
    const { ended, message, offset } = this.#expected;
    let mismatch = this.#mismatch;
    let error;
    if (mismatch === undefined) {
      error = this.#error;
      if (error === undefined && !ended) {
        mismatch = `closed at byte ${offset} of message ${message}, before everything had come back`;
      }
    }
    return { messages: this.#messages, bytes: this.#bytes, mismatch, error };
  }
}

function describeDifference(message, offset, expected, got) {
  const at = expected.findIndex((byte, i) => byte !== got[i]);
  const hex = (byte) => `0x${byte.toString(16).padStart(2, '0')}`;
  return `byte ${offset + at} of message ${message} is ${hex(got[at])}, and was sent as ${hex(expected[at])}`;
}
