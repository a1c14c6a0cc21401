// Replies keep the order that the options say, whenever promises settle; one that never settles is bounded.

import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { closings, connect, handler, LIMIT, LINES, MODES, serve, variants } from './fixtures/scene.mjs';

const numbers = (count) => Array.from({ length: count }, (_, number) => String(number));

for (const { title, mode, process, few, isModule } of await variants('shuffle.mjs')) {
  for (const order of ['serial', 'parallel']) {
    test(`${order} answers in the order of the requests, whenever promises settle (${title})`, LIMIT, async (t) => {
      const server = await serve(t, mode, process, { ...few, ...LINES, order });
      const clients = await Promise.all(Array.from({ length: 4 }, () => connect(t, server)));
      const sent = numbers(500);
      for (const client of clients) client.write(sent.map((number) => `wander ${number}\n`).join(''));
      for (const client of clients) assert.deepEqual(await client.lines(sent.length), sent);
    });
  }

  // One lane, so that it is one gathering.
  const one = isModule && mode !== 'single' ? { workers: 1 } : {};

  test(`parallel begins requests together and answers in their order (${title})`, LIMIT, async (t) => {
    const server = await serve(t, mode, process, { ...one, ...LINES, order: 'parallel', maxInFlight: 32 });
    const client = await connect(t, server);
    for (let round = 0; round < 20; round += 1) {
      client.write(
        numbers(32)
          .map((number) => `gather 32 ${number}\n`)
          .join(''),
      );
      assert.deepEqual(await client.lines(32), numbers(32));
    }
  });

  test(`unordered answers each request once, in whatever order (${title})`, LIMIT, async (t) => {
    const server = await serve(t, mode, process, { ...one, ...LINES, order: 'unordered', maxInFlight: 32 });
    const client = await connect(t, server);
    const byNumber = (one, other) => one - other;
    for (let round = 0; round < 20; round += 1) {
      client.write(
        numbers(32)
          .map((number) => `gather 32 ${number}\n`)
          .join(''),
      );
      assert.deepEqual((await client.lines(32)).sort(byNumber), numbers(32));
    }
    client.write(
      numbers(500)
        .map((number) => `wander ${number}\n`)
        .join(''),
    );
    assert.deepEqual((await client.lines(500)).sort(byNumber), numbers(500));
  });
}

for (const mode of MODES) {
  test(`unordered: a request that settles last holds nobody (${mode})`, LIMIT, async (t) => {
    let release;
    const held = new Promise((resolve) => (release = resolve));
    const server = await serve(t, mode, (data) => (String(data) === '0' ? held : data), {
      ...LINES,
      order: 'unordered',
    });
    const client = await connect(t, server);
    client.write(
      numbers(20)
        .map((number) => `${number}\n`)
        .join(''),
    );
    assert.equal(new Set(await client.lines(19)).has('0'), false);
    release('released');
    assert.equal(await client.line(), 'released');
  });

  test(`serial begins a request when the one before it is answered (${mode})`, LIMIT, async (t) => {
    let running = 0;
    const server = await serve(
      t,
      mode,
      async (data) => {
        running += 1;
        assert.equal(running, 1);
        await turn();
        running -= 1;
        return data;
      },
      LINES,
    );
    const client = await connect(t, server);
    client.write(
      numbers(200)
        .map((number) => `${number}\n`)
        .join(''),
    );
    assert.deepEqual(await client.lines(200), numbers(200));
  });

  test(
    `handlers that never settle are bounded by maxInFlight, and ended by stop's deadline (${mode})`,
    LIMIT,
    async (t) => {
      const begun = [];
      const server = await serve(
        t,
        mode,
        (data) => {
          if (String(data) === 'echo') return data;
          return new Promise((resolve) => begun.push(() => resolve(data)));
        },
        { ...LINES, order: 'parallel', maxInFlight: 4 },
      );
      const closed = closings(server);
      const opened = once(server, 'connection');
      const stuck = await connect(t, server);
      stuck.write(
        numbers(10)
          .map((number) => `${number}\n`)
          .join(''),
      );
      const other = await connect(t, server);
      while (begun.length < 4) assert.equal(await other.ask('echo'), 'echo');
      for (let round = 0; round < 50; round += 1) assert.equal(await other.ask('echo'), 'echo');
      assert.equal(begun.length, 4, 'others go on, and no fifth is begun');
      begun[0]();
      assert.equal(await stuck.line(), '0');
      while (begun.length < 5) assert.equal(await other.ask('echo'), 'echo');
      assert.equal(begun.length, 5);
      assert.equal(server.stats().requestsInFlight, 4);

      const report = await server.stop(50);
      assert.ok(report.requestsAbandoned >= 4, JSON.stringify(report));
      assert.equal(report.connectionsAborted, 1);
      assert.equal(report.callbacksRunning, 0);
      await Promise.all([stuck.ended, other.ended]);
      assert.ok(
        [...closed.reasons.values()].every((reason) => reason === 'shutdown'),
        String([...closed.reasons.values()]),
      );
      assert.equal(closed.reasons.has((await opened)[0].id), true);
      // Answers that come after the end go nowhere.
      for (const settle of begun) settle();
      await turn();
    },
  );
}

test("a module's handler that never settles is ended by stop's deadline", LIMIT, async (t) => {
  const server = await serve(t, 'pooled', handler('obedient.mjs'), { ...LINES, workers: 2 });
  const clients = await Promise.all(Array.from({ length: 6 }, () => connect(t, server)));
  for (const client of clients) {
    assert.equal(await client.ask('echo on'), 'on');
    client.write('never\n');
  }
  while (server.stats().requestsInFlight < 6) await turn();
  const report = await server.stop(50);
  assert.equal(report.requestsAbandoned, 6);
  assert.equal(report.connectionsAborted, 6);
});

test('AsyncLocalStorage that runs in a handler survives its awaits', LIMIT, async (t) => {
  const storage = new AsyncLocalStorage();
  const late = async () => {
    await turn();
    await Promise.resolve();
    return storage.getStore();
  };
  const server = await serve(
    t,
    'pooled',
    (data) =>
      storage.run(`<${data}>`, async () => {
        await turn();
        return `${await late()}${storage.getStore()}`;
      }),
    { ...LINES, order: 'parallel' },
  );
  const client = await connect(t, server);
  client.write(
    numbers(300)
      .map((number) => `${number}\n`)
      .join(''),
  );
  assert.deepEqual(
    await client.lines(300),
    numbers(300).map((number) => `<${number}><${number}>`),
  );
  assert.equal(storage.getStore(), undefined);
});
