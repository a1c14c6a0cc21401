'use strict';
// Owns what counts as bytes: a Uint8Array, of whatever realm, or text as UTF-8.

const { isUint8Array } = require('node:util/types');
const { describe } = require('./describe.js');

/** The bytes of `data`; `name` is what the caller calls it. */
function toBytes(data, name) {
  if (isUint8Array(data)) return data;
  if (typeof data === 'string') return Buffer.from(data);
  throw new TypeError(`${name} must be a Uint8Array or a string, and is ${describe(data)}`);
}

module.exports = { toBytes };
