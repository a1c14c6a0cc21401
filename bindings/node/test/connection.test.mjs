// The connection that a handler is given: its state, its bytes that nobody asked for, its end.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { closings, connect, handler, LIMIT, LINES, MODES, next, serve, until, variants } from './fixtures/scene.mjs';

for (const { title, mode, process, few } of await variants('obedient.mjs')) {
  test(`state stays with its connection (${title})`, LIMIT, async (t) => {
    const server = await serve(t, mode, process, { ...few, ...LINES });
    const clients = await Promise.all(Array.from({ length: 5 }, () => connect(t, server)));
    for (const word of ['a', 'b', 'c']) {
      await Promise.all(clients.map((client, index) => client.write(`state ${word}${index}\n`)));
    }
    for (const [index, client] of clients.entries()) {
      const expected = [`a${index}`, `a${index},b${index}`, `a${index},b${index},c${index}`];
      assert.deepEqual(await client.lines(3), expected);
    }
  });

  test(`send in a handler goes before its reply (${title})`, LIMIT, async (t) => {
    const server = await serve(t, mode, process, { ...few, ...LINES });
    const client = await connect(t, server);
    for (let round = 0; round < 50; round += 1) {
      client.write(`push ${round}\n`);
      assert.deepEqual(await client.lines(2), [`push ${round}`, 'true']);
    }
  });

  test(`remoteAddress and id are those of the connection (${title})`, LIMIT, async (t) => {
    const server = await serve(t, mode, process, { ...few, ...LINES });
    const ids = new Set();
    for (let round = 0; round < 5; round += 1) {
      const client = await connect(t, server);
      assert.equal(await client.ask('address'), `127.0.0.1:${client.socket.localPort}`);
      const id = await client.ask('id');
      assert.equal(await client.ask('id'), id);
      ids.add(id);
    }
    assert.equal(ids.size, 5);
  });

  for (const deed of ['close', 'closeEarly', 'closeLater']) {
    test(`${deed}: close in a handler ends the connection after this reply (${title})`, LIMIT, async (t) => {
      const server = await serve(t, mode, process, { ...few, ...LINES });
      const closed = closings(server);
      const client = await connect(t, server);
      const id = BigInt(await client.ask('id'));
      client.write(`echo before\n${deed} bye\necho not begun\nthrow not begun\n`);
      assert.equal(String(await client.rest()), 'before\nbye\n');
      assert.equal(client.error, undefined);
      assert.equal(await closed.of(id), 'local');
      assert.equal(server.stats().callbackFailures, 0);
    });
  }

  test(`close in a handler that replies nothing ends the connection (${title})`, LIMIT, async (t) => {
    const server = await serve(t, mode, process, { ...few, ...LINES });
    const client = await connect(t, server);
    client.write('echo before\ncloseSilently\necho not begun\n');
    assert.equal(String(await client.rest()), 'before\n');
  });
}

const { storage } = await import('./fixtures/handlers/enters.mjs');
for (const { title, mode, process, isModule, few } of await variants('enters.mjs')) {
  for (const order of ['serial', 'parallel']) {
    test(`what one connection enters in its async context no other one sees (${title}, ${order})`, LIMIT, async (t) => {
      const server = await serve(t, mode, process, { ...few, ...LINES, order });
      const seen = [];
      const enter = (id) => {
        seen.push([id, storage.getStore()]);
        storage.enterWith(`store of ${id}`);
      };
      const closed = closings(server);
      server.on('connection', ({ id }) => enter(id));
      // A module's are told by the port of its worker, which has one context.
      server.on('handlerError', (_, id) => isModule || enter(id));
      server.on('connectionClose', enter);
      // Twice as many as there are workers, each after the one before.
      for (let round = 0; round < 4; round += 1) {
        const client = await connect(t, server);
        let id;
        for (const request of ['now', 'later', 'now', 'now', 'later']) {
          const [self, own, found] = (await client.ask(request)).split(', ');
          assert.equal(self, 'undefined');
          id = BigInt(own);
          seen.push([id, found === 'undefined' ? undefined : found]);
        }
        client.write(round % 2 ? 'now fail\n' : 'later fail\n');
        assert.equal(await closed.of(id), 'callback-failed');
      }
      for (const [id, store] of seen) assert.ok([undefined, `store of ${id}`].includes(store), `${id} sees ${store}`);
    });
  }
}

for (const order of ['parallel', 'unordered']) {
  test(`in order ${order} a module's connection has no state, and says so`, LIMIT, async (t) => {
    const server = await serve(t, 'pooled', handler('obedient.mjs'), { ...LINES, order, workers: 2 });
    const failed = next(server, 'handlerError');
    const client = await connect(t, server);
    assert.equal(await client.ask('address'), `127.0.0.1:${client.socket.localPort}`);
    client.write('state a\n');
    assert.match((await failed)[0].message, /connection\.state.*order 'serial'/);
    await client.ended;
  });

  for (const deed of ['close', 'closeEarly', 'closeLater']) {
    test(`in order ${order} ${deed} answers what was admitted, then closes`, LIMIT, async (t) => {
      for (const [process, options] of [
        [(await import('./fixtures/handlers/obedient.mjs')).default, {}],
        [handler('obedient.mjs'), { workers: 2 }],
      ]) {
        const server = await serve(t, 'pooled', process, { ...LINES, order, ...options });
        const closed = closings(server);
        const client = await connect(t, server);
        const id = BigInt(await client.ask('id'));
        client.write(`echo before\n${deed} bye\necho between\n`);
        const lines = String(await client.rest())
          .trimEnd()
          .split('\n');
        assert.ok(lines.includes('bye'), String(lines));
        if (order === 'parallel') assert.deepEqual(lines.slice(0, 2), ['before', 'bye']);
        assert.equal(await closed.of(id), 'local');
      }
    });
  }

  test(`in order ${order} a function's connection has its state`, LIMIT, async (t) => {
    const { default: run } = await import('./fixtures/handlers/obedient.mjs');
    const server = await serve(t, 'pooled', run, { ...LINES, order });
    const client = await connect(t, server);
    assert.equal(await client.ask('state a'), 'a');
    assert.equal(await client.ask('state b'), 'a,b');
  });
}

for (const [how, answered] of [
  ['connection.close', '1\n'],
  ['server.closeConnection', '1\n2\n3\n'],
]) {
  const which = JSON.stringify(answered);
  test(`in serial, while the first of three requests runs, ${how} lets ${which} be answered`, LIMIT, async (t) => {
    let running;
    const process = (data, connection) =>
      running ? data : new Promise((resolve) => (running = { connection, finish: () => resolve(data) }));
    const server = await serve(t, 'single', process, LINES);
    const client = (await connect(t, server)).write('1\n2\n3\n');
    await until(() => running !== undefined && server.stats().bytesIn === 6);
    if (how === 'connection.close') running.connection.close();
    else server.closeConnection(running.connection.id);
    running.finish();
    assert.equal(String(await client.rest()), answered);
  });
}

for (const mode of MODES) {
  for (const order of ['serial', 'parallel']) {
    test(
      `each connection is told of once and its end once, after its last request, resets or not (${mode}, ${order})`,
      LIMIT,
      async (t) => {
        const open = new Set();
        const ended = new Set();
        const faults = [];
        const server = await serve(
          t,
          mode,
          (data, connection) => {
            if (!open.has(connection.id)) faults.push(`a request of ${connection.id}, which is not open`);
            return Math.random() < 0.5 ? data : new Promise((resolve) => setImmediate(() => resolve(data)));
          },
          { ...LINES, order },
        );
        server.on('connection', ({ id }) => {
          if (open.has(id) || ended.has(id)) faults.push(`${id} twice`);
          open.add(id);
        });
        server.on('connectionClose', (id) => {
          if (!open.delete(id)) faults.push(`${id} ended, and was not open`);
          ended.add(id);
        });
        const COUNT = 400;
        const drop = async (_, sower) => {
          for (let round = 0; round < COUNT / 20; round += 1) {
            const client = await connect(undefined, server);
            client.write('request\n'.repeat(30));
            if (round % 2) await client.line();
            if ((round + sower) % 3) client.socket.resetAndDestroy();
            else client.end();
            await client.ended;
          }
        };
        await Promise.all(Array.from({ length: 20 }, drop));
        await server.stop();
        assert.deepEqual(faults, []);
        assert.equal(open.size, 0);
        assert.ok(ended.size <= COUNT && ended.size > COUNT / 2);
      },
    );
  }

  test(`'connection' comes before the first request, with the same object (${mode})`, LIMIT, async (t) => {
    const server = await serve(t, mode, (data, connection) => `${data} ${connection === connection.state.self}`, LINES);
    server.on('connection', (connection) => {
      connection.state = { self: connection };
      assert.equal(connection.send('welcome'), true);
    });
    const clients = await Promise.all(Array.from({ length: 20 }, () => connect(t, server)));
    for (const client of clients) client.write('hello\n');
    for (const client of clients) assert.deepEqual(await client.lines(2), ['welcome', 'hello true']);
  });

  test(`a connection that has ended takes nothing and harms nobody (${mode})`, LIMIT, async (t) => {
    const server = await serve(t, mode, (data) => data, LINES);
    const opened = once(server, 'connection');
    const closed = closings(server);
    const client = await connect(t, server);
    const [connection] = await opened;
    assert.match(connection.remoteAddress, /^127\.0\.0\.1:\d+$/);
    client.end();
    assert.equal(await closed.of(connection.id), 'peer');
    assert.equal(connection.send('x'), false);
    connection.close();
    assert.equal(typeof connection.id, 'bigint');
    connection.state = 5;
    assert.equal(connection.state, 5);
    assert.throws(() => connection.send(5), {
      name: 'TypeError',
      message: /must be a Uint8Array or a string, and is the number 5/,
    });
    assert.throws(() => connection.send(), { name: 'TypeError', message: /is undefined/ });
    assert.equal(await (await connect(t, server)).ask('on'), 'on');
  });

  test(`a chat: a handler sends to every connection and closes another (${mode})`, LIMIT, async (t) => {
    const all = new Map();
    const server = await serve(
      t,
      mode,
      (data, connection) => {
        const [what, name] = String(data).split(' ');
        if (what === 'name') all.set(name, connection);
        else if (what === 'kick') all.get(name).close();
        else for (const other of all.values()) other.send(data);
      },
      LINES,
    );
    const clients = await Promise.all(
      ['a', 'b', 'c'].map(async (name) => (await connect(t, server)).write(`name ${name}\n`)),
    );
    while (all.size < 3) await new Promise((resolve) => setImmediate(resolve));
    clients[0].write('hello\n');
    for (const client of clients) assert.equal(await client.line(), 'hello');
    clients[0].write('kick b\n');
    assert.equal((await clients[1].rest()).length, 0);
  });
}

for (const mode of MODES) {
  test(
    `a module's open greets, its close hears the reason, both in the worker of its requests (${mode})`,
    LIMIT,
    async (t) => {
      const news = new BroadcastChannel('hooks.mjs');
      t.after(() => news.close());
      const told = new Map();
      let wake = () => {};
      news.onmessage = ({ data }) => {
        told.set(data.id, data);
        wake();
      };
      const server = await serve(t, mode, handler('hooks.mjs'), {
        ...LINES,
        ...(mode === 'single' ? {} : { workers: 2 }),
      });
      const clients = await Promise.all(Array.from({ length: 6 }, () => connect(t, server)));
      const threads = new Set();
      // All of them are there before the first ends: else it might leave its place to the second.
      for (const client of clients) assert.equal(await client.line(), 'welcome');
      for (const client of clients) {
        const [thread, openedIn, id] = (await client.ask('who')).split(' ');
        assert.equal(thread, openedIn);
        threads.add(thread);
        client.end();
        while (!told.has(BigInt(id))) await new Promise((resolve) => (wake = resolve));
        const expected = { id: BigInt(id), reason: 'peer', thread: Number(thread), opened: Number(thread) };
        assert.deepEqual(told.get(BigInt(id)), expected);
      }
      assert.equal(threads.size, mode === 'single' ? 1 : 2, 'each worker has its share');
    },
  );
}
