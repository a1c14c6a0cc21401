'use strict';
// Owns a worker thread: loads the handler module, serves one lane with it. Requests come straight from the native
// reactor; the thread that called start hears of readiness and failures alone.

const { isNativeError } = require('node:util/types');
const { parentPort } = require('node:worker_threads');
const { textOf } = require('./describe.js');
const { load } = require('./native.js');
const { Lane } = require('./lane.js');

/** A value that can be posted, as near to `error` as possible. */
function portable(error) {
  if (!isError(error)) return { value: safe(error) };
  const [name, message, stack] = ['name', 'message', 'stack'].map((property) =>
    attempt(
      () => String(error[property]),
      () => `(no ${property})`,
    ),
  );
  const code = attempt(
    () => error.code,
    () => undefined,
  );
  return { name, message, stack, code: safe(code) };
}

/** A thrown thing may be anything: even to ask what it is, or to read a property of it, may throw. */
function attempt(read, otherwise) {
  try {
    return read();
  } catch {
    return otherwise();
  }
}

function isError(value) {
  return attempt(
    () => value instanceof Error || isNativeError(value),
    () => false,
  );
}

function safe(value) {
  return attempt(
    () => structuredClone(value),
    () => textOf(value),
  );
}

function post(message) {
  parentPort.postMessage({ reactor: message });
}

async function main() {
  const { hub: id, index, homes, serial, module } = JSON.parse(process.argv.splice(2, 1)[0]);
  let lane;
  parentPort.on('message', (message) => {
    if (message?.reactor !== 'stop') return;
    lane?.detach();
    parentPort.close();
  });
  try {
    const loaded = await import(module);
    const exported = handlerOf(loaded);
    const hub = load().Hub.open(id);
    lane = new Lane(hub, index, { homes, serial }, {
      process: exported.default,
      open: exported.open,
      close: exported.close && ((connection, reason) => connection && exported.close(connection, reason)),
      failed: (error, connection) => post({ failed: portable(error), id: connection?.id ?? 0n }),
    });
    post({ ready: true });
  } catch (error) {
    post({ unloadable: portable(error) });
    parentPort.close();
  }
}

/** default, open and close of an ES module, or of what a CommonJS module exports. */
function handlerOf(loaded) {
  const inner = loaded.default;
  const exported = typeof inner === 'object' && inner !== null && typeof inner.default === 'function' ? inner : loaded;
  const named = typeof inner === 'function' && exported === loaded ? { ...inner, ...loaded } : exported;
  if (typeof exported.default !== 'function') {
    throw new TypeError('a handler module has a function as its default export');
  }
  for (const name of ['open', 'close']) {
    if (named[name] !== undefined && typeof named[name] !== 'function') {
      throw new TypeError(`${name} of a handler module must be a function`);
    }
  }
  return { default: exported.default, open: named.open, close: named.close };
}

main();
