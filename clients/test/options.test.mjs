// The command line of the cluster client.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOptions, usage, UsageError } from '../tcp-client/options.mjs';

test('no_arguments_are_ten_processes_of_a_hundred_connections_with_two_messages', () => {
  assert.deepEqual(parseOptions([]), {
    host: '127.0.0.1',
    port: 3001,
    processes: 10,
    connections: 100,
    messages: 2,
    sizeBytes: undefined,
    timeoutMs: 120_000,
    quiet: false,
    help: false,
  });
});

test('a_bad_option_is_named', () => {
  const bad = [
    [['--port', '0'], '--port 0'],
    [['--port', '65536'], '--port 65536'],
    [['--port', '80x'], '--port 80x'],
    [['--processes', '0'], '--processes 0'],
    [['--connections', '1e3'], '--connections 1e3'],
    [['--messages', '0'], '--messages 0'],
    [['--size', '0'], '--size 0'],
    [['--size=-1'], '--size -1'],
    [['--size', ''], '--size '],
    [['--size'], '--size'],
    [['--timeout-s', '1.5'], '--timeout-s 1.5'],
    [['--host', ''], '--host'],
    [['--quiet=yes'], '--quiet'],
    [['--colour'], '--colour'],
    [['127.0.0.1'], '127.0.0.1'],
  ];
  for (const [args, named] of bad) {
    assert.throws(() => parseOptions(args), (error) => error instanceof UsageError && error.message.includes(named));
  }
});

test('the_usage_names_every_option', () => {
  for (const option of ['host', 'port', 'processes', 'connections', 'messages', 'size', 'timeout-s', 'quiet', 'help']) {
    assert.ok(usage.includes(`\n  --${option} `), option);
  }
});
