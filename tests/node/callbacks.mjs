// What callbacks may rely on, checked from inside each of them: the connection is one object, with its id, address and
// state, from open to close, and of the three calls none comes out of its place. Echoes. Prints `current` for each.

import { isMainThread } from 'node:worker_threads';
import { check, say, serve } from './host.mjs';

const known = new Map(); // by id: what open saw; a module's connection has one home, so this thread's map will do

export function open(connection) {
  check(connection.remoteAddress.startsWith('127.0.0.1:') && connection.state === undefined, 'a new connection');
  check(!known.has(connection.id), 'an id is never given twice');
  connection.state = { requests: 0 };
  known.set(connection.id, connection);
  say('current open');
}

export default function process(data, connection) {
  check(known.get(connection.id) === connection, 'the object that open saw');
  connection.state.requests += 1;
  say('current process');
  return data;
}

export function close({ id }, reason) {
  check(['peer', 'shutdown'].includes(reason), reason);
  check(known.get(id)?.state.requests === 1, 'closed once, after its request');
  known.delete(id);
  say('current close');
}

if (isMainThread) await serve({ process, open, close }, import.meta.url);
