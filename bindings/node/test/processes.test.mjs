// The life of a server beside that of its process and its thread.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { connect, handler, LIMIT, LINES, program, serve } from './fixtures/scene.mjs';
import { lastLine, run } from './fixtures/child.mjs';
import { press } from './fixtures/load.mjs';

test('a server starts while another thread of the process is blocked for good', LIMIT, async () => {
  const { code, stdout, stderr } = await run('busy-thread.mjs');
  assert.deepEqual([code, stdout, stderr], [0, 'started\n', '']);
});

for (const kind of ['function', 'module']) {
  for (const what of ['unref', 'stop']) {
    test(`a server after ${what} does not hold the process (${kind})`, LIMIT, async () => {
      const { code, stdout, stderr } = await run('unref.mjs', [kind, what]);
      assert.deepEqual([code, stdout, stderr], [0, 'served\n', '']);
    });
  }

  for (const what of ['hold', 'ref']) {
    test(`an open server holds the process (${kind}, ${what})`, LIMIT, async () => {
      // It stands in for "for ever": a process that is not held is gone long before a second one has started and ended.
      const { promise, resolve } = deferred();
      const served = (stdout, child) => stdout.includes('served') && resolve(child);
      const held = run('unref.mjs', [kind, what], { told: served });
      const child = await promise;
      await run('unref.mjs', [kind, 'unref']);
      assert.equal(child.exitCode, null);
      child.kill('SIGTERM');
      assert.equal((await held).signal, 'SIGTERM');
    });
  }

  test(`process.exit under load ends the process with its code (${kind})`, LIMIT, async () => {
    for (let round = 0; round < 3; round += 1) {
      const { code, signal, stdout, stderr } = await run('exit-under-load.mjs', [kind]);
      assert.deepEqual([code, signal, stdout, stderr], [3, null, 'exiting\n', '']);
    }
  });

  test(`50 starts and stops leave no descriptor, no thread and no callback over (${kind})`, LIMIT, async () => {
    const { code, stdout, stderr } = await run('cycles.mjs', [kind]);
    assert.equal(code, 0, stderr);
    const { before, after, cleanups } = JSON.parse(lastLine(stdout));
    assert.deepEqual(after, before);
    assert.equal(cleanups, 0);
  });

  for (const mode of ['single', 'pooled', 'multi']) {
    test(
      `a thread that serves is terminated under load: its connections close, the process goes on (${kind}, ${mode})`,
      LIMIT,
      async (t) => {
        const own = await serve(t, 'single', (data) => data, LINES);
        const thread = new Worker(program('thread.mjs'), { workerData: { kind, mode } });
        const addresses = (await once(thread, 'message'))[0];
        const presses = [];
        for (const at of addresses) presses.push(await press({ address: () => at }, 8));
        const client = await connect(t, { address: () => addresses[0] });
        assert.equal(await client.ask('on'), 'on');
        await thread.terminate();
        await Promise.all(presses.map(({ over }) => over));
        await client.ended;
        assert.equal(await (await connect(t, own)).ask('still here'), 'still here');
      },
    );
  }

  test(`servers in several threads serve side by side, and stop with their reports (${kind})`, LIMIT, async (t) => {
    const threads = Array.from(
      { length: 3 },
      () => new Worker(program('thread.mjs'), { workerData: { kind, mode: 'single' } }),
    );
    const addresses = (await Promise.all(threads.map((thread) => once(thread, 'message')))).flatMap(([at]) => at);
    assert.equal(new Set(addresses.map(({ port }) => port)).size, 6);
    for (const at of addresses) {
      const client = await connect(t, { address: () => at });
      assert.equal(await client.ask(`for ${at.port}`), `for ${at.port}`);
    }
    for (const thread of threads) {
      const [told, exited] = [once(thread, 'message'), once(thread, 'exit')];
      thread.postMessage('stop');
      assert.equal((await told)[0].length, 2);
      assert.deepEqual(await exited, [0]);
    }
  });
}

test('several servers in one thread do not disturb each other', LIMIT, async (t) => {
  const servers = await Promise.all(
    Array.from({ length: 6 }, (_, number) =>
      serve(
        t,
        ['single', 'pooled', 'multi'][number % 3],
        number < 3 ? (data) => `${number} ${data}` : handler('echo.mjs'),
        LINES,
      ),
    ),
  );
  const clients = await Promise.all(servers.map((server) => connect(t, server)));
  for (const [number, client] of clients.entries())
    assert.equal(await client.ask('x'), number < 3 ? `${number} x` : 'x');
  await Promise.all(servers.filter((_, number) => number % 2).map((server) => server.stop()));
  for (const [number, client] of clients.entries()) {
    if (number % 2) assert.equal((await client.rest()).length, 0);
    else assert.equal(await client.ask('y'), number < 3 ? `${number} y` : 'y');
  }
});

test('an uncaught exception ends a program that serves', LIMIT, async () => {
  const { code, signal, stderr } = await run('uncaught.mjs');
  assert.deepEqual([code, signal], [1, null]);
  assert.match(stderr, /Error: the end/);
});

test('garbage collection under load changes no byte', LIMIT, async () => {
  const { code, stdout, stderr } = await run('collect.mjs', [], { nodeArgs: ['--expose-gc'] });
  assert.deepEqual([code, stdout], [0, 'intact\n'], stderr);
});

function deferred() {
  let resolve;
  const promise = new Promise((settle) => (resolve = settle));
  return { promise, resolve };
}
