// Owns one worker process: it opens its connections, waits for all of them, and tells the primary what became of them.
// Knows nothing of the other workers.

import { setDefaultResultOrder } from 'node:dns';
import { CheckedConnection } from './checked-connection.mjs';

// Kinds of failure that a process tells about, in the order of its connections.
const REPORTED_FAILURES = 10;

/**
 * What a worker tells the primary. Times are of the monotonic clock, in milliseconds: one for all processes.
 *
 * @typedef {{messages: number, bytes: number, mismatches: number, errors: number,
 *   startedMs: number, endedMs: number}} WorkerReport
 */

/** The monotonic clock, in milliseconds; performance.now() begins anew in each process. */
const monotonicMs = () => Number(process.hrtime.bigint()) / 1e6;

/**
 * @param {ReturnType<import('./options.mjs').parseOptions>} options
 * @returns {Promise<WorkerReport>}
 */
export async function runWorker(options) {
  // A name's first address is the one that is tried; servers bind the IPv4 one first.
  setDefaultResultOrder('ipv4first');
  const onData = options.quiet ? () => {} : makePrinter();
  const { host, port, messages, sizeBytes } = options;

  const startedMs = monotonicMs();
  const connections = Array.from({ length: options.connections }, (_, index) =>
    new CheckedConnection({ host, port, messages, sizeBytes, pid: process.pid, index, onData }));
  const deadline = setTimeout(() => {
    for (const connection of connections) {
      connection.abort(`still open after ${options.timeoutMs / 1000} s`);
    }
  }, options.timeoutMs);
  const outcomes = await Promise.all(connections.map((connection) => connection.closed));
  clearTimeout(deadline);
  const endedMs = monotonicMs();

  reportFailures(outcomes);
  const total = (number) => outcomes.reduce((sum, outcome) => sum + number(outcome), 0);
  return {
    messages: total((outcome) => outcome.messages),
    bytes: total((outcome) => outcome.bytes),
    mismatches: total((outcome) => Number(outcome.mismatch !== undefined)),
    errors: total((outcome) => Number(outcome.error !== undefined)),
    startedMs,
    endedMs,
  };
}

function makePrinter() {
  let open = true;
  // Whoever read our output has gone (`| head`): the check goes on without it.
  process.stdout.on('error', () => { open = false; });
  return (data) => {
    if (open) {
      process.stdout.write(data);
    }
  };
}

/**
 * One line for each kind of failure, with the first connection that had it: a server that is not there is one line, and
 * not one for each connection.
 *
 * @param {import('./checked-connection.mjs').Outcome[]} outcomes
 */
function reportFailures(outcomes) {
  const groups = new Map();
  for (const [index, { mismatch, error }] of outcomes.entries()) {
    const failure = mismatch ?? error;
    if (failure !== undefined) {
      const group = groups.get(failure) ?? { first: index, count: 0 };
      group.count += 1;
      groups.set(failure, group);
    }
  }
  const lines = [...groups].slice(0, REPORTED_FAILURES).map(([failure, { first, count }]) => {
    const and = count === 1 ? '' : ` and ${count - 1} more`;
    return `[process ${process.pid}](${first})${and}: ${failure}\n`;
  });
  if (groups.size > REPORTED_FAILURES) {
    lines.push(`[process ${process.pid}] and failures of ${groups.size - REPORTED_FAILURES} more kinds\n`);
  }
  process.stderr.write(lines.join(''));
}
