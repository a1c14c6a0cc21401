'use strict';
// Owns how a value is told of in an error or a warning, whatever it is.

/** What a value is, for an error. */
function describe(value) {
  if (value === null) return 'null';
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object') return `an instance of ${value.constructor?.name ?? 'Object'}`;
  if (typeof value === 'string') return `the string ${JSON.stringify(value)}`;
  return value === undefined ? 'undefined' : `the ${typeof value} ${String(value)}`;
}

/** A thrown thing as text, its stack if it has one: it may be anything, and even to read it may throw. */
function textOf(error) {
  try {
    return String(error?.stack ?? error);
  } catch {
    return 'what it threw has no text';
  }
}

module.exports = { describe, textOf };
