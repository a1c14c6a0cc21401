'use strict';
// Owns the connection as a handler sees it. Knows nothing of lanes but which request is running.

const { toBytes } = require('./bytes.js');

/** One connection: the same object for as long as it lives. */
class Connection {
  #hub;
  #low;
  #high;
  #address;
  #homes;
  #state;
  /** The key of the request that runs for it, and whether that one closes it. Of the lane, not of the user. */
  #running;
  #closes = false;

  constructor(hub, low, high, homes, address) {
    this.#hub = hub;
    this.#low = low;
    this.#high = high;
    this.#homes = homes;
    this.#address = address;
  }

  get id() {
    return (BigInt(this.#high) << 32n) | BigInt(this.#low);
  }

  get remoteAddress() {
    this.#address ??= this.#hub.peer(this.#low, this.#high) ?? '';
    return this.#address;
  }

  get state() {
    this.#refuseState();
    return this.#state;
  }

  set state(value) {
    this.#refuseState();
    this.#state = value;
  }

  #refuseState() {
    if (!this.#homes) {
      throw new Error("connection.state: in this order a module's connection has no one home; use order 'serial'");
    }
  }

  send(data) {
    return this.#hub.send(this.#low, this.#high, toBytes(data, 'data'));
  }

  close() {
    if (this.#running === undefined) this.#hub.close(this.#low, this.#high);
    else this.#closes = true;
  }

  static begin(connection, key) {
    connection.#running = key;
    connection.#closes = false;
  }

  /** The request has ended; says whether it closes the connection. */
  static end(connection, key) {
    if (connection.#running !== key) return false;
    connection.#running = undefined;
    return connection.#closes;
  }
}

module.exports = { Connection };
