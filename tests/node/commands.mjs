// Each line is a request that says what to answer; N counts bytes of the reply, which repeats a..z from `a` on. As
// tests/c/commands.c, with the forms that a reply can have here in place of the ways to write one there:
//   write N      a Buffer              pieces N   a string
//   reserve N    a promise of bytes    mixed N    a promise of a string, after a turn of the event loop
//   silent       nothing at all        empty      ''
//   close N      N bytes, then close   fail N     throws, the connection asked to send N bytes before
//   over N       N bytes, after a send past the output limit that must be refused
//   say          nothing, and says `said`
//   gate         nothing, says `process waits` and awaits gate 0
// Says `open CONN` and `close CONN reason=NAME`. --variant refuse: open throws at every other connection.

import { setImmediate as turn } from 'node:timers/promises';
import { isMainThread } from 'node:worker_threads';
import { bump, check, counted, gateOpened, reasonName, say, scene, serve } from './host.mjs';

const [OFFERED, OPENS, CLOSES] = [0, 1, 2];
const PAST_LIMIT = Buffer.alloc(4 * 1024 * 1024 + 1); // the default output limit, and one byte
const refused = new Set();

function alphabet(length) {
  return Buffer.alloc(length, 'abcdefghijklmnopqrstuvwxyz');
}

const VERBS = {
  write: alphabet,
  pieces: (length) => alphabet(length).toString(),
  reserve: async (length) => new Uint8Array(alphabet(length)),
  mixed: async (length) => {
    await turn();
    return alphabet(length).toString();
  },
  silent: () => undefined,
  empty: () => '',
  close: (length, connection) => {
    connection.close();
    return alphabet(length);
  },
  fail: (length) => {
    throw new Error(`as asked for, in place of ${length} bytes`);
  },
  over: (length, connection) => {
    check(connection.send(PAST_LIMIT) === false, 'a send past the output limit');
    return alphabet(length);
  },
  say: () => say('said'),
  gate: async () => {
    say('process waits');
    await gateOpened(0);
  },
};

export function open(connection) {
  if (scene.variant === 'refuse' && bump(OFFERED) % 2 === 1) {
    refused.add(connection.id);
    say('refused');
    throw new Error('refused');
  }
  bump(OPENS);
  say(`open ${connection.id}`);
}

export default function process(data, connection) {
  const [, verb, length] = /^([a-z]+)(?: (\d+))?\n$/.exec(data.latin1Slice()) ?? [];
  check(verb in VERBS, `no command: ${data}`);
  return VERBS[verb](Number(length), connection);
}

export function close({ id }, reason) {
  if (refused.delete(id)) return;
  bump(CLOSES);
  say(`close ${id} reason=${reasonName(reason)}`);
}

if (isMainThread) {
  await serve({ process, open, close }, import.meta.url, { framing: { delimiter: '\n' } });
  say(`totals opens=${counted(OPENS)} closes=${counted(CLOSES)}`);
}
