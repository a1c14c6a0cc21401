// Owns the command line: names, defaults, ranges, and the words of its errors. Knows nothing of connections.

import { parseArgs } from 'node:util';

export const usage = `usage: node tcp-client.mjs [options]

Opens connections from several processes at once. Each writes its messages, ends its side, and checks that it gets back
exactly the bytes it sent, in order, before the close. The last line printed is the summary:

  summary: connections=N messages=N bytes=N mismatches=N errors=N seconds=S

  connections  tried in all
  messages     that came back whole and right
  bytes        that came back
  mismatches   connections that gave back anything but what they were sent: other bytes, fewer or more
  errors       connections that failed: refused, reset, out of time
  seconds      from the first connect to the last close

Exit code: 0 if every message of every connection came back, 1 if not, 2 for a bad option.

  --host HOST        where the server listens (127.0.0.1)
  --port N           its port (3001)
  --processes N      worker processes (10)
  --connections N    connections of each, all opened at once (100)
  --messages N       messages of each connection (2)
  --size BYTES       bytes of each message, its newline with it (the length of its text)
  --timeout-s N      give up on connections still open after so many seconds (120)
  --quiet            print the summary alone; errors still go to stderr
  --help             print this
`;

// [smallest, largest]
const ranges = {
  port: [1, 65_535],
  processes: [1, 1_024],
  connections: [1, 65_535],
  messages: [1, 1_000_000_000],
  size: [1, 1_073_741_824],
  'timeout-s': [1, 86_400],
};

/** A command line that makes no sense; its message says which option, and what it takes. */
export class UsageError extends Error {}

/**
 * @param {string[]} args
 * @returns {{host: string, port: number, processes: number, connections: number, messages: number,
 *   sizeBytes: number | undefined, timeoutMs: number, quiet: boolean, help: boolean}}
 * @throws {UsageError}
 */
export function parseOptions(args) {
  const values = parse(args);
  if (values.host === '') {
    throw new UsageError('--host is empty');
  }
  return {
    host: values.host,
    port: number('port', values),
    processes: number('processes', values),
    connections: number('connections', values),
    messages: number('messages', values),
    sizeBytes: values.size === undefined ? undefined : number('size', values),
    timeoutMs: number('timeout-s', values) * 1000,
    quiet: values.quiet,
    help: values.help,
  };
}

function parse(args) {
  try {
    return parseArgs({
      args,
      options: {
        host: { type: 'string', default: '127.0.0.1' },
        port: { type: 'string', default: '3001' },
        processes: { type: 'string', default: '10' },
        connections: { type: 'string', default: '100' },
        messages: { type: 'string', default: '2' },
        size: { type: 'string' },
        'timeout-s': { type: 'string', default: '120' },
        quiet: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    // parseArgs says which option and what is wrong with it.
    throw new UsageError(error.message, { cause: error });
  }
}

function number(name, values) {
  const text = values[name];
  const [smallest, largest] = ranges[name];
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(value >= smallest && value <= largest)) {
    throw new UsageError(`--${name} ${text}: not a whole number from ${smallest} to ${largest}`);
  }
  return value;
}
