'use strict';
// Owns how an error of the engine becomes one of Node's.

const os = require('node:os');
const { getSystemErrorName } = require('node:util');

const CODES = { ADDRESS_IN_USE: 'EADDRINUSE', ADDRESS_UNAVAILABLE: 'EADDRNOTAVAIL', PERMISSION_DENIED: 'EACCES' };

/** What the engine says of an option, and the option's name here where that is not the same in camel case. */
const NAMES = [
  [/\bframe_bytes\b/, 'framing.fixed'],
  [/\bkeepalive_s\b/, 'keepAliveSeconds'],
  [/^(?=the low water mark|the high water mark)/, 'outputWaterMarks: '],
  [/^(?=the length prefix)/, 'framing.lengthPrefix: '],
  [/^(?=the delimiter)/, 'framing.delimiter: '],
];

/** The engine's message, with the names that options have in JavaScript. */
function inOurNames(message) {
  const named = NAMES.reduce((text, [theirs, ours]) => text.replace(theirs, ours), message);
  const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
  return named.replace(/\b[a-z]+(?:_[a-z]+)+\b/g, camel);
}

/** What the engine names an error, and the system's number for it, 0 for none. Of other errors nothing that fits. */
function parts(error) {
  return String(error?.code).split(':');
}

/** Whether a start at an address of IPv6 failed since the system has none. */
function hasNoIpv6(error) {
  const { EAFNOSUPPORT, EADDRNOTAVAIL } = os.constants.errno;
  return [EAFNOSUPPORT, EADDRNOTAVAIL].includes(Number(parts(error)[1]));
}

/** The Error for a failed start at `address`. */
function startError(error, address) {
  const [kind, errno] = parts(error);
  if (!/^[A-Z_]+$/.test(kind) || errno === undefined) return error;
  const number = Number(errno);
  const code = kind in CODES ? (number > 0 ? getSystemErrorName(-number) : CODES[kind]) : `ERR_REACTOR_${kind}`;
  const message = kind === 'INVALID_ARGUMENT' ? inOurNames(error.message) : error.message;
  const result = new Error(kind in CODES ? `listen ${code}: ${message}` : message);
  result.code = code;
  if (number > 0) result.errno = -number;
  if (kind in CODES) {
    result.syscall = 'listen';
    const at = /^(?:unix:(?<path>.*)|\[(?<v6>.*)\]:(?<port6>\d+)|(?<host>.*):(?<port>\d+))$/.exec(address)?.groups;
    if (at?.path !== undefined) result.address = at.path;
    else if (at !== undefined) {
      result.address = at.v6 ?? at.host;
      result.port = Number(at.port6 ?? at.port);
    }
  }
  return result;
}

module.exports = { startError, hasNoIpv6 };
