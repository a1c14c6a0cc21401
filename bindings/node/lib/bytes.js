'use strict';
// Owns what counts as bytes: a Uint8Array, of whatever realm, or text as UTF-8.

const { isUint8Array } = require('node:util/types');

/** The bytes of `data`; `name` is what the caller calls it. */
function toBytes(data, name) {
  if (isUint8Array(data)) return data;
  if (typeof data === 'string') return Buffer.from(data);
  throw new TypeError(`${name} must be a Uint8Array or a string, and is ${describe(data)}`);
}

/** What a value is, for an error. */
function describe(value) {
  if (value === null) return 'null';
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object') return `an instance of ${value.constructor?.name ?? 'Object'}`;
  if (typeof value === 'string') return `the string ${JSON.stringify(value)}`;
  return value === undefined ? 'undefined' : `the ${typeof value} ${String(value)}`;
}

module.exports = { toBytes, describe };
