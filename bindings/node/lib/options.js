'use strict';
// Owns the check of what start was given, and its form for native code. Ranges are the engine's affair, types are ours.

const path = require('node:path');
const os = require('node:os');
const { isUint8Array } = require('node:util/types');
const { fileURLToPath, pathToFileURL } = require('node:url');
const { describe } = require('./describe.js');

const MODES = ['single', 'pooled', 'multi'];
const ORDERS = ['serial', 'parallel', 'unordered'];

/**
 * The lane's entry for a request is the frame and at most 23 bytes beside it, and lib/lane.js reckons in signed numbers
 * of 32 bits: all of it has to be below 2 GiB.
 */
const MOST_FRAME_BYTES = 2 ** 31 - 32;

/** [name in JavaScript, name in native code, largest value] */
const NUMBERS = [
  ['reactors', 'reactors', 0xffffffff],
  ['maxConnections', 'maxConnections', 0xffffffff],
  ['maxInFlight', 'maxInFlight', 0xffffffff],
  ['maxFrameBytes', 'maxFrameBytes', MOST_FRAME_BYTES],
  ['outputLimitBytes', 'outputLimitBytes', Number.MAX_SAFE_INTEGER],
  ['memoryLimitBytes', 'memoryLimitBytes', Number.MAX_SAFE_INTEGER],
  ['frameTimeoutMs', 'frameTimeoutMs', 0xffffffff],
  ['writeTimeoutMs', 'writeTimeoutMs', 0xffffffff],
  ['idleTimeoutMs', 'idleTimeoutMs', 0xffffffff],
  ['backlog', 'backlog', 0xffffffff],
  ['keepAliveSeconds', 'keepAliveSeconds', 0xffffffff],
  ['unixMode', 'unixMode', 0xffffffff],
];
const FLAGS = ['noDelay', 'reusePort'];
const OTHERS = ['framing', 'order', 'workers', 'workerOptions', 'outputWaterMarks', 'signal'];
const KNOWN = new Set([...NUMBERS.map(([name]) => name), ...FLAGS, ...OTHERS]);

function wrong(name, expected, value) {
  return new TypeError(`${name} must be ${expected}, and is ${describe(value)}`);
}

/** A number that an option cannot have. */
function outOfRange(message) {
  const error = new RangeError(message);
  error.code = 'ERR_REACTOR_INVALID_ARGUMENT';
  return error;
}

function whole(name, value, largest) {
  if (typeof value !== 'number') throw wrong(name, 'a number', value);
  if (!Number.isInteger(value) || value < 0 || value > largest) {
    throw outOfRange(`${name} must be a whole number from 0 to ${largest}, and is ${value}`);
  }
  return value;
}

function oneOf(name, value, names) {
  const number = names.indexOf(value);
  if (number < 0) throw wrong(name, `one of '${names.join("', '")}'`, value);
  return number;
}

function framing(value, native) {
  if (value === 'raw') return;
  if (value === null || typeof value !== 'object') {
    throw wrong('options.framing', "'raw', or an object with delimiter, lengthPrefix or fixed", value);
  }
  if (value.strip !== undefined && typeof value.strip !== 'boolean') {
    throw wrong('options.framing.strip', 'a boolean', value.strip);
  }
  native.strip = value.strip;
  const kinds = ['delimiter', 'lengthPrefix', 'fixed'].filter((name) => value[name] !== undefined);
  if (kinds.length > 1) {
    const names = kinds.map((name) => `options.framing.${name}`).join(' and ');
    throw new TypeError(`${names} exclude each other: a stream is cut in one way`);
  }
  if (value.delimiter !== undefined) {
    const { delimiter } = value;
    if (typeof delimiter !== 'string' && !isUint8Array(delimiter)) {
      throw wrong('options.framing.delimiter', 'a string or a Uint8Array', delimiter);
    }
    native.framing = 1;
    native.delimiter = [...Buffer.from(delimiter)];
  } else if (value.lengthPrefix !== undefined) {
    native.framing = 2;
    native.frameWidth = whole('options.framing.lengthPrefix', value.lengthPrefix, 255);
    native.bigEndian = oneOf('options.framing.endian', value.endian ?? 'big', ['little', 'big']) === 1;
  } else if (value.fixed !== undefined) {
    native.framing = 3;
    native.frameWidth = whole('options.framing.fixed', value.fixed, Number.MAX_SAFE_INTEGER);
  } else {
    throw wrong('options.framing', "'raw', or an object with delimiter, lengthPrefix or fixed", value);
  }
}

function nativeOptions(options) {
  const native = {};
  for (const [name, to, largest] of NUMBERS) {
    if (options[name] !== undefined) native[to] = whole(`options.${name}`, options[name], largest);
  }
  for (const name of FLAGS) {
    const value = options[name];
    if (value === undefined) continue;
    if (typeof value !== 'boolean') throw wrong(`options.${name}`, 'a boolean', value);
    native[name] = value;
  }
  if (options.order !== undefined) native.order = oneOf('options.order', options.order, ORDERS);
  if (options.framing !== undefined) framing(options.framing, native);
  if (options.outputWaterMarks !== undefined) {
    const marks = options.outputWaterMarks;
    if (marks === null || typeof marks !== 'object') throw wrong('options.outputWaterMarks', '{ low, high }', marks);
    native.outputLowBytes = whole('options.outputWaterMarks.low', marks.low, Number.MAX_SAFE_INTEGER);
    native.outputHighBytes = whole('options.outputWaterMarks.high', marks.high, Number.MAX_SAFE_INTEGER);
  }
  return native;
}

/** The handler: { run: function }, or { module: file URL }. */
function handler(process) {
  if (typeof process === 'function') return { run: process };
  if (process instanceof URL) {
    if (process.protocol !== 'file:') throw wrong('process', 'a file: URL', process.href);
    return { module: process.href };
  }
  if (typeof process !== 'string') throw wrong('process', 'a function, or the path or file: URL of a module', process);
  if (process.startsWith('file:')) {
    // It refuses what names no file. The query stays, as in a URL object: another one is another module.
    fileURLToPath(process);
    return { module: new URL(process).href };
  }
  return { module: pathToFileURL(path.resolve(process)).href };
}

/** The native mode 'pooled' is 'single' with workers, which are JavaScript's: the engine would name the wrong one. */
function refuseReactors(mode, options) {
  if (options.reactors !== undefined && mode !== MODES.indexOf('multi')) {
    throw outOfRange(`options.reactors is for mode 'multi': mode '${MODES[mode]}' has one`);
  }
}

/** How many workers a module has; 0 for a function. */
function workers(mode, hasModule, options) {
  const { workers: count } = options;
  if (count !== undefined) {
    if (!hasModule) {
      throw outOfRange('options.workers is for a handler module: a function runs on the thread that called start');
    }
    if (mode === 0) throw outOfRange("options.workers: in mode 'single' a module has one worker");
    whole('options.workers', count, 1024);
    if (count === 0) throw outOfRange('options.workers is 0; it is at least 1');
    return count;
  }
  if (!hasModule) return 0;
  return mode === 0 ? 1 : os.availableParallelism();
}

/** The addresses to try, in the engine's form. */
function addresses(value) {
  if (typeof value === 'string') return [value];
  if (value === null || typeof value !== 'object') {
    throw wrong('address', 'a string, { host, port } or { path }', value);
  }
  if (value.path !== undefined) {
    if (typeof value.path !== 'string') throw wrong('address.path', 'a string', value.path);
    return [`unix:${value.path}`];
  }
  const port = whole('address.port', value.port, 65535);
  const { host } = value;
  // As node:net has it: all interfaces, and where the system has no IPv6, those of IPv4.
  if (host === undefined) return [`[::]:${port}`, `0.0.0.0:${port}`];
  if (typeof host !== 'string') throw wrong('address.host', 'a string', host);
  return [host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`];
}

/** Checks all that start was given. */
function check(to, mode, process, options = {}) {
  if (options === null || typeof options !== 'object') throw wrong('options', 'an object', options);
  for (const name of Object.keys(options)) {
    if (!KNOWN.has(name)) throw new TypeError(`options.${name} is not an option; there are ${[...KNOWN].join(', ')}`);
  }
  const { signal, workerOptions } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw wrong('options.signal', 'an AbortSignal', signal);
  }
  if (workerOptions !== undefined && (workerOptions === null || typeof workerOptions !== 'object')) {
    throw wrong('options.workerOptions', 'an object', workerOptions);
  }
  const number = oneOf('mode', mode, MODES);
  refuseReactors(number, options);
  const found = handler(process);
  const serial = (options.order ?? 'serial') === 'serial';
  return {
    addresses: addresses(to),
    mode: number,
    handler: found,
    workers: workers(number, found.module !== undefined, options),
    homes: found.run !== undefined || serial,
    serial,
    native: nativeOptions(options),
    workerOptions: workerOptions ?? {},
    signal,
  };
}

module.exports = { check };
