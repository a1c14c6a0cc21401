// The cluster client against small servers that answer right, and wrong in each way that it must see.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const client = fileURLToPath(new URL('../tcp-client.mjs', import.meta.url));

/** Runs the client to its end. */
async function run(...args) {
  const child = spawn(process.execPath, [client, ...args.map(String)]);
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('latin1').on('data', (text) => { output.stdout += text; });
  child.stderr.setEncoding('latin1').on('data', (text) => { output.stderr += text; });
  const [code] = await once(child, 'close');
  return { ...output, code, summary: parseSummary(output.stdout) };
}

/** The numbers of the last line, without its seconds; undefined where it is no summary. */
function parseSummary(stdout) {
  const last = stdout.trimEnd().split('\n').at(-1);
  const names = ['connections', 'messages', 'bytes', 'mismatches', 'errors'];
  const pattern = `^summary: ${names.map((name) => `${name}=(?<${name}>\\d+) `).join('')}seconds=\\d+\\.\\d{3}$`;
  const groups = new RegExp(pattern).exec(last)?.groups;
  return groups && Object.fromEntries(names.map((name) => [name, Number(groups[name])]));
}

/** A server on a port of its own until the test ends; gives the options that lead the client there. */
async function serve(t, onConnection) {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {}); // clients that have seen enough
    onConnection(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return ['--port', server.address().port];
}

/** A server that reads to the end of input, and only then answers with what `answer` makes of it. */
function serveWhole(t, answer) {
  return serve(t, (socket) => {
    const chunks = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('end', () => socket.end(answer(Buffer.concat(chunks))));
  });
}

const echo = (socket) => socket.pipe(socket);
const one = ['--processes', 1, '--connections', 1];
const three = ['--processes', 1, '--connections', 3];
const twoByThree = ['--processes', 2, '--connections', 3];

// At once, as most of the time goes into starting processes.
describe('tcp-client', { concurrency: 4 }, () => {
  test('an_echo_is_verified_and_summed_up', async (t) => {
    const { code, stdout, stderr, summary } = await run(...(await serve(t, echo)), ...twoByThree);
    assert.equal(stderr, '');
    const lines = stdout.trimEnd().split('\n').slice(0, -1);
    assert.equal(lines.length, 12);
    for (const line of lines) {
      assert.match(line, /^\[process \d+\]\([0-2]\) message [12]$/);
    }
    const bytes = lines.reduce((sum, line) => sum + line.length + 1, 0);
    assert.deepEqual(summary, { connections: 6, messages: 12, bytes, mismatches: 0, errors: 0 });
    assert.equal(code, 0);
  });

  test('each_connection_writes_its_messages_and_ends_its_side_at_once', async (t) => {
    const received = [];
    const target = await serveWhole(t, (bytes) => {
      received.push(bytes.toString());
      return bytes;
    });
    const { code } = await run(...target, ...twoByThree, '--quiet');
    assert.equal(code, 0);
    const processes = new Map();
    for (const text of received) {
      const [, pid, index] = /^\[process (\d+)\]\((\d+)\) message 1\n/.exec(text);
      assert.equal(text, `[process ${pid}](${index}) message 1\n[process ${pid}](${index}) message 2\n`);
      processes.set(pid, [...(processes.get(pid) ?? []), Number(index)].sort());
    }
    assert.deepEqual([...processes.values()], [[0, 1, 2], [0, 1, 2]]);
  });

  test('quiet_prints_the_summary_alone', async (t) => {
    const { stdout } = await run(...(await serve(t, echo)), ...three, '--quiet');
    assert.match(stdout, /^summary: [^\n]*\n$/);
  });

  test('many_small_messages_of_one_size_come_back', async (t) => {
    const target = await serve(t, echo);
    const { code, summary } = await run(...target, ...one, '--messages', 10_000, '--size', 31, '--quiet');
    assert.deepEqual(summary, { connections: 1, messages: 10_000, bytes: 310_000, mismatches: 0, errors: 0 });
    assert.equal(code, 0);
  });

  test('messages_larger_than_any_buffer_come_back', async (t) => {
    const size = 5 * 1024 * 1024 + 1;
    const { code, summary } = await run(...(await serve(t, echo)), ...three, '--size', size, '--quiet');
    assert.deepEqual(summary, { connections: 3, messages: 6, bytes: 6 * size, mismatches: 0, errors: 0 });
    assert.equal(code, 0);
  });

  const wrongAnswers = {
    a_flipped_byte: (bytes) => {
      bytes[bytes.length - 5] ^= 1;
      return bytes;
    },
    a_missing_last_byte: (bytes) => bytes.subarray(0, -1),
    a_doubled_reply: (bytes) => Buffer.concat([bytes, bytes]),
    one_byte_too_many: (bytes) => Buffer.concat([bytes, Buffer.from('\n')]),
    no_reply: () => Buffer.alloc(0),
    messages_in_another_order: (bytes) => {
      const middle = bytes.indexOf('\n') + 1;
      return Buffer.concat([bytes.subarray(middle), bytes.subarray(0, middle)]);
    },
  };
  for (const [name, answer] of Object.entries(wrongAnswers)) {
    test(`${name}_is_a_mismatch`, async (t) => {
      const { code, stderr, summary } = await run(...(await serveWhole(t, answer)), ...three, '--quiet');
      assert.equal(summary.mismatches, 3);
      assert.equal(summary.errors, 0);
      assert.match(stderr, /^\[process \d+\]\(0\) and 2 more: /);
      assert.equal(code, 1);
    });
  }

  test('only_messages_that_came_back_right_are_counted', async (t) => {
    const target = await serveWhole(t, wrongAnswers.a_flipped_byte);
    const { summary, stderr } = await run(...target, ...one, '--size', 100);
    assert.deepEqual(summary, { connections: 1, messages: 1, bytes: 200, mismatches: 1, errors: 0 });
    assert.match(stderr, /byte 95 of message 2 is 0x/);
  });

  test('a_byte_flipped_deep_in_a_large_message_is_a_mismatch', async (t) => {
    const target = await serve(t, (socket) => {
      let seen = 0;
      socket.on('data', (chunk) => {
        const at = 3_000_000 - seen;
        if (at >= 0 && at < chunk.length) {
          chunk[at] ^= 0x80;
        }
        seen += chunk.length;
        socket.write(chunk);
      });
      socket.on('end', () => socket.end());
    });
    const { code, stderr, summary } = await run(...target, ...one, '--size', 2_000_000, '--quiet');
    assert.deepEqual(summary, { connections: 1, messages: 1, bytes: 4_000_000, mismatches: 1, errors: 0 });
    assert.match(stderr, /byte 1000000 of message 2 is 0x/);
    assert.equal(code, 1);
  });

  test('a_server_that_ends_early_is_a_mismatch', async (t) => {
    const target = await serve(t, (socket) => {
      socket.end('[process ');
      socket.resume();
    });
    const { code, summary, stderr } = await run(...target, ...three, '--size', 1_000_000, '--quiet');
    assert.deepEqual(summary, { connections: 3, messages: 0, bytes: 27, mismatches: 3, errors: 0 });
    assert.match(stderr, /closed at byte 9 of message 1/);
    assert.equal(code, 1);
  });

  test('a_reset_is_an_error', async (t) => {
    const target = await serve(t, (socket) => socket.resume().on('end', () => socket.resetAndDestroy()));
    const { code, summary, stderr } = await run(...target, ...three, '--quiet');
    assert.deepEqual(summary, { connections: 3, messages: 0, bytes: 0, mismatches: 0, errors: 3 });
    assert.match(stderr, /127\.0\.0\.1:\d+: .*ECONNRESET/);
    assert.equal(code, 1);
  });

  test('a_refused_connection_is_an_error_with_its_address', async () => {
    // Nobody else on the machine has it: of 127.0.0.1, others take ports as soon as they are free.
    const host = `127.${1 + ((process.pid >> 16) % 254)}.${(process.pid >> 8) % 256}.${1 + (process.pid % 254)}`;
    const server = net.createServer().listen(0, host);
    await once(server, 'listening');
    const { port } = server.address();
    server.close();
    await once(server, 'close');
    const { code, summary, stderr } = await run('--host', host, '--port', port, ...three, '--quiet');
    assert.deepEqual(summary, { connections: 3, messages: 0, bytes: 0, mismatches: 0, errors: 3 });
    assert.ok(stderr.includes(`ECONNREFUSED ${host}:${port}`), stderr);
    assert.equal(code, 1);
  });

  test('a_server_that_never_answers_is_given_up_at_the_timeout', async (t) => {
    const target = await serve(t, (socket) => socket.resume());
    const { code, summary, stderr } = await run(...target, ...three, '--quiet', '--timeout-s', 1);
    assert.deepEqual(summary, { connections: 3, messages: 0, bytes: 0, mismatches: 0, errors: 3 });
    assert.match(stderr, /127\.0\.0\.1:\d+: still open after 1 s/);
    assert.equal(code, 1);
  });

  test('the_connections_of_a_worker_that_died_are_errors', async (t) => {
    const killed = new Set();
    const target = await serveWhole(t, (bytes) => {
      const pid = Number(/^\[process (\d+)\]/.exec(bytes.toString())[1]);
      if (killed.size === 0) {
        killed.add(pid);
        process.kill(pid, 'SIGKILL');
      }
      return killed.has(pid) ? Buffer.alloc(0) : bytes;
    });
    const { code, summary, stderr } = await run(...target, ...twoByThree, '--quiet');
    assert.equal(summary.connections, 6);
    assert.equal(summary.errors, 3);
    assert.equal(summary.messages, 6);
    assert.match(stderr, new RegExp(`\\[process ${[...killed][0]}\\] all its connections: .*SIGKILL`));
    assert.equal(code, 1);
  });

  test('a_reader_of_the_output_that_has_gone_changes_nothing', async (t) => {
    const [, port] = await serve(t, echo);
    const child = spawn(process.execPath, [client, '--port', port, ...three.map(String)]);
    child.stdout.destroy();
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text) => { stderr += text; });
    const [code] = await once(child, 'close');
    assert.equal(stderr, '');
    assert.equal(code, 0);
  });

  test('bad_options_are_named_and_exit_with_2', async () => {
    const { code, stdout, stderr } = await run('--port', '80x');
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.equal(stderr, '--port 80x: not a whole number from 1 to 65535\n--help lists the options\n');
  });

  test('help_exits_with_0', async () => {
    const { code, stdout } = await run('--help');
    assert.match(stdout, /^usage: /);
    assert.equal(code, 0);
  });
});
