// Handler modules: how they are found and loaded, the threads that run them, what those are given.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { connect, handler, LIMIT, LINES, MODES, serve, start } from './fixtures/scene.mjs';
import { lastLine, run } from './fixtures/child.mjs';

const LOCAL = '127.0.0.1:0';
const threads = async (t, server, count) => {
  const clients = await Promise.all(Array.from({ length: count }, () => connect(t, server)));
  return Promise.all(clients.map((client) => client.ask('thread')));
};

test(
  'a module is found by path, by path relative to the working directory, by file URL as text or as URL',
  LIMIT,
  async (t) => {
    for (const name of ['echo.mjs', 'echo.cjs']) {
      const file = handler(name);
      const forms = [
        file,
        path.relative(process.cwd(), file),
        `./${path.relative(process.cwd(), file)}`,
        pathToFileURL(file),
        pathToFileURL(file).href,
      ];
      for (const form of forms) {
        const server = await serve(t, 'single', form, LINES);
        assert.equal(await (await connect(t, server)).ask('hello'), 'hello', String(form));
      }
    }
  },
);

test('the query of a file URL is kept, as text or as URL, and what names no file is refused', LIMIT, async (t) => {
  const url = new URL('?asked=1', pathToFileURL(handler('query.mjs')));
  for (const form of [url, url.href, url.href.replace('///', '//localhost/')]) {
    const server = await serve(t, 'single', form, LINES);
    assert.equal(await (await connect(t, server)).ask('x'), '?asked=1', String(form));
  }
  for (const form of ['file://elsewhere/a.mjs', 'file:///a%2fb.mjs']) {
    await assert.rejects(start(LOCAL, 'single', form), { code: /^ERR_INVALID_FILE_URL_/ });
  }
});

test('a CommonJS module may export default, open and close', LIMIT, async (t) => {
  const server = await serve(t, 'pooled', handler('hooks.cjs'), { ...LINES, workers: 1 });
  assert.equal(await (await connect(t, server)).ask('hello'), 'opened:hello');
});

for (const mode of MODES) {
  test(`a module that cannot be loaded rejects start with its own error (${mode})`, LIMIT, async () => {
    const failing = (name) => start(LOCAL, mode, handler(name));
    await assert.rejects(failing('throws-on-load.mjs'), {
      name: 'RangeError',
      message: 'not today',
      code: 'E_NOT_TODAY',
      stack: /throws-on-load\.mjs/,
    });
    await assert.rejects(failing('missing.mjs'), { code: 'ERR_MODULE_NOT_FOUND', message: /missing\.mjs/ });
    await assert.rejects(failing('no-default.mjs'), { name: 'TypeError', message: /a function as its default export/ });
    await assert.rejects(failing('bad-hook.mjs'), {
      name: 'TypeError',
      message: /open of a handler module must be a function/,
    });
    await assert.rejects(failing('exits-on-load.mjs'), {
      message: /exited with code 7 while it loaded .*exits-on-load\.mjs/,
    });
  });
}

test('every worker has loaded the module before start resolves', LIMIT, async (t) => {
  const loads = new Int32Array(new SharedArrayBuffer(4));
  const server = await serve(t, 'pooled', handler('counts-loads.mjs'), {
    ...LINES,
    workers: 4,
    workerOptions: { workerData: loads },
  });
  assert.equal(Atomics.load(loads, 0), 4);
  assert.equal(new Set(await threads(t, server, 8)).size, 4, 'and each has its share of the connections');
});

test('in serial order a connection has one home for life', LIMIT, async (t) => {
  for (const mode of ['pooled', 'multi']) {
    const server = await serve(t, mode, handler('obedient.mjs'), { ...LINES, workers: 3 });
    const homes = new Set();
    for (let round = 0; round < 6; round += 1) {
      const client = await connect(t, server);
      client.write('thread\n'.repeat(100));
      const answers = new Set(await client.lines(100));
      assert.equal(answers.size, 1);
      homes.add([...answers][0]);
    }
    assert.equal(homes.size, 3);
    assert.equal(homes.has('main'), false);
  }
});

test('a connection goes to the worker that has the fewest', LIMIT, async (t) => {
  const server = await serve(t, 'pooled', handler('obedient.mjs'), { ...LINES, workers: 2 });
  const clients = [];
  for (let round = 0; round < 4; round += 1) clients.push(await connect(t, server));
  const homes = [];
  for (const client of clients) homes.push(await client.ask('thread'));
  const [left] = homes;
  assert.equal(homes.filter((home) => home === left).length, 2);
  // Both of one worker go: the next two are its own.
  for (const [index, client] of clients.entries()) {
    if (homes[index] !== left) continue;
    const closed = once(server, 'connectionClose');
    client.end();
    await closed;
  }
  assert.deepEqual(new Set(await threads(t, server, 2)), new Set([left]));
});

for (const order of ['parallel', 'unordered']) {
  test(`in order ${order} the requests of one connection run on several workers`, LIMIT, async (t) => {
    const server = await serve(t, 'pooled', handler('spin.mjs'), { ...LINES, order, workers: 2 });
    const client = await connect(t, server);
    client.write('x\n'.repeat(200));
    assert.equal(new Set(await client.lines(200)).size, 2);
  });
}

test('workerOptions reach the workers', LIMIT, async (t) => {
  const workerOptions = {
    env: { COLOUR: 'green' },
    workerData: { answer: 42 },
    execArgv: ['--no-warnings'],
    resourceLimits: { maxOldGenerationSizeMb: 64 },
  };
  const server = await serve(t, 'pooled', handler('obedient.mjs'), { ...LINES, workers: 1, workerOptions });
  const client = await connect(t, server);
  assert.equal(await client.ask('env COLOUR'), 'green');
  assert.equal(await client.ask('env PATH'), 'undefined');
  assert.equal(await client.ask('data'), '{"answer":42}');
  assert.equal(await client.ask('argv'), '["--no-warnings"]');
  assert.equal(await client.ask('limits'), '64');
  await assert.rejects(start(LOCAL, 'pooled', handler('echo.mjs'), { workerOptions: { env: 5 } }), {
    code: 'ERR_INVALID_ARG_TYPE',
  });
  await assert.rejects(
    start(LOCAL, 'pooled', handler('echo.mjs'), { workerOptions: { execArgv: ['--no-such-flag'] } }),
    {
      code: 'ERR_WORKER_INVALID_EXEC_ARGV',
    },
  );
});

test('process.argv of a worker has nothing of ours', LIMIT, async (t) => {
  const server = await serve(t, 'pooled', handler('obedient.mjs'), { ...LINES, workers: 1 });
  assert.equal(await (await connect(t, server)).ask('args'), '2');
});

test('what a module keeps open does not keep stop from its end', LIMIT, async (t) => {
  const server = await serve(t, 'pooled', handler('busy-timer.mjs'), { ...LINES, workers: 2 });
  assert.equal(await (await connect(t, server)).ask('hello'), 'hello');
  await server.stop();
});

test('a program that only starts a module waits for it to load', LIMIT, async () => {
  const { code, stdout, stderr } = await run('slow-module.mjs');
  assert.deepEqual([code, lastLine(stdout)], [0, 'stopped'], stderr);
});

test('a worker blocked for ever is ended with the server', LIMIT, async (t) => {
  const server = await serve(t, 'pooled', handler('gate.mjs'), {
    workers: 1,
    workerOptions: { workerData: new Int32Array(new SharedArrayBuffer(4)) },
  });
  const client = await connect(t, server);
  client.write('x');
  while (server.stats().requestsInFlight === 0) await new Promise((resolve) => setImmediate(resolve));
  const report = await server.stop(20);
  assert.equal(report.requestsAbandoned, 1);
  await client.ended;
});
