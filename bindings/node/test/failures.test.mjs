// A handler that throws or rejects costs its own connection and no more, and is reported.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { closings, connect, handler, LIMIT, LINES, next, serve, variants } from './fixtures/scene.mjs';
import { lastLine, run } from './fixtures/child.mjs';

/** Of each variant; FAILURES=100000 takes minutes, and is run by hand. */
const FAILURES = Number(process.env.FAILURES ?? Math.ceil(10_000 / 6));

for (const { title, mode, process, isModule, few } of await variants('obedient.mjs')) {
  test(
    `a throw or a rejection closes its connection with callback-failed and is reported (${title})`,
    LIMIT,
    async (t) => {
      const server = await serve(t, mode, process, { ...few, ...LINES });
      const closed = closings(server);
      const survivor = await connect(t, server);
      assert.equal(await survivor.ask('echo before'), 'before');
      for (const how of ['throw', 'reject']) {
        const client = await connect(t, server);
        const id = BigInt(await client.ask('id'));
        const failed = next(server, 'handlerError');
        // What was answered before it still arrives; what comes after it is not begun.
        client.write(`echo answered\n${how} spoiled\necho never\n`);
        const [error, connectionId] = await failed;
        assert.ok(error instanceof Error);
        assert.equal(error.name, 'CustomError');
        assert.equal(error.message, 'spoiled');
        assert.equal(error.code, 'E_CUSTOM');
        assert.match(error.stack, /obedient\.mjs/);
        if (!isModule) assert.ok(error instanceof RangeError, 'the original');
        assert.equal(connectionId, id);
        assert.equal(await closed.of(id), 'callback-failed');
        assert.equal(String(await client.rest()), 'answered\n');
        assert.equal(await survivor.ask('echo after'), 'after');
      }
      assert.equal(server.stats().callbackFailures, 2);
    },
  );

  test(`what is thrown need be no error, nor be fit to be posted (${title})`, LIMIT, async (t) => {
    const server = await serve(t, mode, process, { ...few, ...LINES });
    const throwing = await connect(t, server);
    const failed = next(server, 'handlerError');
    throwing.write('throwText plain\n');
    assert.equal((await failed)[0], 'plain');
    const odd = await connect(t, server);
    const failedOdd = next(server, 'handlerError');
    odd.write('throwOdd\n');
    assert.equal((await failedOdd)[0].message, 'odd');
    await Promise.all([throwing.ended, odd.ended]);
    assert.equal(await (await connect(t, server)).ask('echo on'), 'on');
  });

  test(`what is thrown may be beyond telling: it costs its connection and no more (${title})`, LIMIT, async (t) => {
    for (const kind of ['symbol', 'bare', 'guarded', 'revoked']) {
      for (const deed of ['throwUntellable', 'rejectUntellable']) {
        const told = new Promise((resolve) => {
          const hear = (warning) => {
            if (warning.name !== 'ReactorHandlerWarning') return;
            globalThis.process.off('warning', hear);
            resolve();
          };
          globalThis.process.on('warning', hear);
        });
        const server = await serve(t, mode, process, { ...few, ...LINES });
        server.on('workerExit', () => assert.fail('the worker died of it'));
        const clients = [await connect(t, server), await connect(t, server), await connect(t, server)];
        for (const client of clients) await client.ask('echo on');
        clients[0].write(`${deed} ${kind}\n`);
        await clients[0].ended;
        // Without a listener it is warned of; with one, that is told.
        await told;
        const failed = once(server, 'handlerError');
        clients[1].write(`${deed} ${kind}\n`);
        await failed;
        assert.equal(await clients[2].ask('echo on'), 'on');
        await server.stop(0);
      }
    }
  });

  const MANY = { timeout: 60_000 + 10 * FAILURES };
  test(`of thousands of throws and rejections each costs its own connection (${title})`, MANY, async (t) => {
    const server = await serve(t, mode, process, { ...few, ...LINES });
    const closed = closings(server);
    let failures = 0;
    server.on('handlerError', (error) => {
      assert.equal(error.message, 'one of many');
      failures += 1;
    });
    const survivor = await connect(t, server);
    let begun = 0;
    const sow = async (_, sower) => {
      while (begun < FAILURES) {
        begun += 1;
        const client = await connect(undefined, server);
        client.write(begun % 2 ? 'throw one of many\n' : 'reject one of many\n');
        assert.equal((await client.rest()).length, 0);
        if (sower === 0) assert.equal(await survivor.ask('echo on'), 'on');
      }
    };
    await Promise.all(Array.from({ length: 32 }, sow));
    await survivor.ask('echo on');
    const survivorId = BigInt(await survivor.ask('id'));
    assert.equal(server.stats().callbackFailures, begun);
    await server.stop();
    assert.equal(failures, begun, 'all were reported');
    const reasons = [...closed.reasons].filter(([id]) => id !== survivorId).map(([, reason]) => reason);
    assert.deepEqual([reasons.length, new Set(reasons)], [begun, new Set(['callback-failed'])]);
  });
}

for (const kind of ['function', 'module']) {
  test(`without a listener failures are warned of, one a second at most (${kind})`, LIMIT, async () => {
    const { code, stdout } = await run('warnings.mjs', [kind]);
    assert.equal(code, 0);
    const { warnings, failures, elapsedMs } = JSON.parse(lastLine(stdout));
    assert.equal(failures, 300);
    assert.ok(warnings.length >= 1 && warnings.length <= 1 + elapsedMs / 1000, `${warnings.length} in ${elapsedMs} ms`);
    assert.match(warnings[0], /ReactorHandlerWarning: .*connection \d+.*spoiled/s);
  });
}

test("a listener of 'handlerError' that throws loses no other request", LIMIT, async () => {
  const { code, stdout, stderr } = await run('throwing-listener.mjs');
  assert.equal(code, 0, stderr);
  assert.deepEqual(JSON.parse(lastLine(stdout)), { uncaught: ['from the listener'], answered: 50 });
});

test("a listener of 'connection' that throws drops that connection, and no request of it is run", LIMIT, async (t) => {
  const seen = [];
  const server = await serve(t, 'single', (data) => {
    seen.push(String(data));
    return data;
  });
  const closed = closings(server);
  server.once('connection', () => {
    throw new Error('not this one');
  });
  const failed = once(server, 'handlerError');
  const dropped = await connect(t, server);
  dropped.write('unwanted');
  const [error, id] = await failed;
  assert.equal(error.message, 'not this one');
  assert.equal((await dropped.rest()).length, 0);
  assert.match(await closed.of(id), /^(local|callback-failed)$/);
  const client = await connect(t, server);
  assert.equal(String(await client.write('wanted').read(6)), 'wanted');
  assert.deepEqual(seen, ['wanted']);
});

test('a promise that open or close returns and that rejects is a throw of it, and no more', LIMIT, async (t) => {
  const server = await serve(t, 'pooled', handler('rejecting-hooks.mjs'), { ...LINES, workers: 1 });
  const failures = [];
  server.on('handlerError', (error, id) => failures.push(`${error.message} ${id}`));
  server.on('workerExit', () => assert.fail('the worker died of it'));
  const closed = closings(server);
  const opened = once(server, 'handlerError');
  const dropped = await connect(t, server);
  const [, first] = await opened;
  assert.equal((await dropped.rest()).length, 0);
  assert.equal(await closed.of(first), 'local');
  const client = await connect(t, server);
  const second = BigInt(await client.ask('id'));
  client.end();
  assert.equal(await closed.of(second), 'peer');
  await server.stop();
  assert.deepEqual(failures, [
    `rejected by open ${first}`,
    `rejected by close ${first}`,
    `rejected by close ${second}`,
  ]);
});

test('a module whose open throws drops that connection, and no request of it is run', LIMIT, async (t) => {
  const workerData = new Int32Array(new SharedArrayBuffer(4));
  const server = await serve(t, 'pooled', handler('picky.mjs'), {
    ...LINES,
    workers: 2,
    workerOptions: { workerData },
  });
  const closed = closings(server);
  for (let round = 0; round < 3; round += 1) {
    const failed = once(server, 'handlerError');
    const welcome = await connect(t, server);
    assert.equal(await welcome.ask('x'), 'x');
    const dropped = await connect(t, server);
    dropped.write('x\n');
    const [error, id] = await failed;
    assert.equal(error.message, 'every second one is dropped');
    assert.equal((await dropped.rest()).length, 0);
    assert.match(await closed.of(id), /^(local|callback-failed)$/);
    assert.equal(await welcome.ask('y'), 'y');
  }
});
