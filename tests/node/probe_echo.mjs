// Raw echo that tells what it sees, as tests/c/probe_echo.c. --variant gate-open: the first open says `open waits` and
// blocks its thread until gate 0 opens; gate-process: the first request says `process waits` and awaits it.

import { isMainThread } from 'node:worker_threads';
import { bump, check, counted, gateOpened, passGate, reasonName, say, scene, serve } from './host.mjs';

const [OPENS, PROCESSES, CLOSES, PASSED] = [0, 1, 2, 3];
const thread = isMainThread ? 'main' : 'worker';

export function open(connection) {
  check(connection.id !== 0n && connection.remoteAddress.startsWith('127.0.0.1:'), connection.remoteAddress);
  bump(OPENS);
  say(`open ${connection.id} thread=${thread}`);
  if (scene.variant === 'gate-open' && bump(PASSED) === 0) {
    say('open waits');
    passGate(0);
  }
}

export default function process(data) {
  check(data.length > 0, 'a request without a byte');
  bump(PROCESSES);
  say(`process len=${data.length} thread=${thread}`);
  if (scene.variant !== 'gate-process' || bump(PASSED) > 0) return data;
  say('process waits');
  return gateOpened(0).then(() => data);
}

export function close({ id }, reason) {
  bump(CLOSES);
  say(`close ${id} reason=${reasonName(reason)}`);
}

if (isMainThread) {
  await serve({ process, open, close }, import.meta.url);
  say(`totals opens=${counted(OPENS)} processes=${counted(PROCESSES)} closes=${counted(CLOSES)}`);
}
