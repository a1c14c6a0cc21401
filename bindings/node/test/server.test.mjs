// The Server: where it listens, what it sends and counts, its events, its end.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { getEventListeners, once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  closings,
  connect,
  handler,
  LIMIT,
  LINES,
  MODES,
  next,
  serve,
  start,
  until,
  ownAddress,
  variants,
} from './fixtures/scene.mjs';
import { lastLine, run } from './fixtures/child.mjs';

const NO_CONNECTION = 1n << 40n;
const REPORT = [
  'connectionsDrained',
  'connectionsAborted',
  'requestsCompleted',
  'requestsAbandoned',
  'bytesUnsent',
  'callbacksRunning',
];
const STATS = [
  'reactors',
  'connectionsOpen',
  'connectionsAccepted',
  'connectionsRefused',
  'connectionsTimedOut',
  'connectionsReset',
  'acceptErrors',
  'requests',
  'replies',
  'callbackFailures',
  'requestsInFlight',
  'bytesIn',
  'bytesOut',
  'memoryBytes',
  'readsPaused',
  'queueWaitUsP99',
  'processUsP99',
  'loopBusyUsMax',
];

const echo = (data) => data;

/** Why nothing listens at IPv6 addresses here, if so: many containers have none. */
const withoutIpv6 = await new Promise((resolve) => {
  const probe = net.createServer();
  probe.once('error', (error) => resolve(`this machine has no IPv6 loopback: ${error.message}`));
  probe.listen(0, '::1', () => probe.close(() => resolve(false)));
});

function folder(t) {
  const at = fs.mkdtempSync(path.join(tmpdir(), 'reactor-'));
  t.after(() => fs.rmSync(at, { recursive: true }));
  return at;
}

/** A server there is told as `expected`, with the port that was picked, and serves. */
async function listensAt(t, mode, address, expected) {
  const server = await serve(t, mode, echo, {}, address);
  const { port, ...rest } = server.address();
  assert.deepEqual(rest, expected);
  assert.ok(port > 0 && port < 65_536);
  assert.equal(String(await (await connect(t, server)).write('hello').read(5)), 'hello');
}

for (const { title, mode, process, few } of await variants('obedient.mjs')) {
  test(`send, broadcast and closeConnection reach connections, and only live ones (${title})`, LIMIT, async (t) => {
    const server = await serve(t, mode, process, { ...few, ...LINES });
    const closed = closings(server);
    const clients = await Promise.all(Array.from({ length: 3 }, () => connect(t, server)));
    const ids = [];
    for (const client of clients) ids.push(BigInt(await client.ask('id')));
    assert.equal(server.send(ids[1], 'to you'), true);
    assert.equal(await clients[1].line(), 'to you');
    assert.equal(server.broadcast(new Uint8Array([0x61])), 3);
    for (const client of clients) assert.equal(await client.line(), 'a');
    assert.equal(server.closeConnection(ids[1]), true);
    assert.equal((await clients[1].rest()).length, 0);
    assert.equal(await closed.of(ids[1]), 'local');
    for (const ended of [ids[1], NO_CONNECTION, 0n, (1n << 64n) - 1n, ids[0] + (1n << 64n), ids[0] - (1n << 64n)]) {
      assert.equal(server.send(ended, 'x'), false);
      assert.equal(server.closeConnection(ended), false);
    }
    assert.equal(server.broadcast('b'), 2);
    assert.equal(await clients[0].line(), 'b');
    for (const id of [5, '5', undefined, null]) {
      assert.throws(() => server.send(id, 'x'), { name: 'TypeError', message: /connection must be a bigint, and is / });
      assert.throws(() => server.closeConnection(id), { name: 'TypeError', message: /connection must be a bigint/ });
    }
    for (const data of [5, null, undefined, {}, []]) {
      assert.throws(() => server.send(ids[0], data), {
        name: 'TypeError',
        message: /data must be a Uint8Array or a string/,
      });
      assert.throws(() => server.broadcast(data), {
        name: 'TypeError',
        message: /data must be a Uint8Array or a string/,
      });
    }
  });

  test(`stats count what happened (${title})`, LIMIT, async (t) => {
    const server = await serve(t, mode, process, { ...few, ...LINES, ...(mode === 'multi' ? { reactors: 2 } : {}) });
    const client = await connect(t, server);
    for (let round = 0; round < 10; round += 1) await client.ask('echo 1234');
    // A loop counts what it has written when the peer may have it already.
    await until(() => server.stats().bytesOut === 50);
    const stats = server.stats();
    assert.deepEqual(Object.keys(stats).sort(), [...STATS].sort());
    for (const [name, value] of Object.entries(stats))
      assert.ok(Number.isSafeInteger(value) && value >= 0, `${name} ${value}`);
    assert.equal(stats.reactors, mode === 'multi' ? 2 : 1);
    assert.equal(stats.connectionsOpen, 1);
    assert.equal(stats.connectionsAccepted, 1);
    assert.equal(stats.requests, 10);
    assert.equal(stats.replies, 10);
    assert.equal(stats.requestsInFlight, 0);
    assert.equal(stats.bytesIn, 100);
    assert.equal(stats.bytesOut, 50);
    const each = Array.from({ length: stats.reactors }, (_, reactor) => server.stats(reactor));
    assert.equal(
      each.reduce((sum, one) => sum + one.requests, 0),
      10,
    );
    assert.throws(() => server.stats(stats.reactors + 2), { code: 'ERR_REACTOR_INVALID_ARGUMENT', message: /reactor/ });
    for (const wrong of ['0', -1, 1.5, null, 2 ** 32]) assert.throws(() => server.stats(wrong), { name: 'TypeError' });
  });

  test(
    `stop answers what was admitted, reports, and tells it in 'close'; twice is the same stop (${title})`,
    LIMIT,
    async (t) => {
      const server = await serve(t, mode, process, { ...few, ...LINES }, ownAddress());
      const closed = closings(server);
      const clients = await Promise.all(Array.from({ length: 3 }, () => connect(t, server)));
      for (const client of clients) assert.equal(await client.ask('echo on'), 'on');
      assert.equal(server.listening, true);
      const told = next(server, 'close');
      const [first, second] = [server.stop(), server.stop(0)];
      assert.equal(server.listening, false);
      const report = await first;
      assert.deepEqual(await second, report);
      assert.deepEqual((await told)[0], report);
      assert.deepEqual(await server.stop(), report);
      assert.deepEqual(Object.keys(report).sort(), [...REPORT].sort());
      for (const value of Object.values(report)) assert.equal(typeof value, 'number');
      assert.equal(report.connectionsDrained + report.connectionsAborted, 3);
      assert.equal(report.callbacksRunning, 0);
      for (const client of clients) assert.equal((await client.rest()).length, 0);
      assert.equal(closed.reasons.size, 3);
      for (const reason of closed.reasons.values()) assert.equal(reason, 'shutdown');
      await assert.rejects(connect(t, server), { code: 'ECONNREFUSED' });
      // What asks for it after the end gets a plain answer.
      assert.equal(server.send(1n, 'x'), false);
      assert.equal(server.broadcast('x'), 0);
      assert.equal(server.closeConnection(1n), false);
      assert.equal(typeof server.address().port, 'number');
      assert.throws(() => server.stats(), { code: 'ERR_REACTOR_GONE' });
      server.ref().unref();
    },
  );
}

for (const mode of MODES) {
  test(`stop waits for promises that are open, up to its deadline (${mode})`, LIMIT, async (t) => {
    const begun = [];
    const server = await serve(t, mode, () => new Promise((resolve) => begun.push(resolve)), LINES);
    const client = await connect(t, server);
    client.write('x\n');
    while (begun.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const stopped = server.stop();
    begun[0]('answered');
    const report = await stopped;
    assert.equal(String(await client.rest()), 'answered\n');
    assert.deepEqual([report.requestsCompleted, report.requestsAbandoned, report.connectionsDrained], [1, 0, 1]);
  });

  test(`IPv4 addresses are listened at, and told by address() (${mode})`, LIMIT, async (t) => {
    for (const address of ['127.0.0.1:0', { host: '127.0.0.1', port: 0 }]) {
      await listensAt(t, mode, address, { address: '127.0.0.1', family: 'IPv4' });
    }
  });

  test(`IPv6 addresses are, too (${mode})`, { ...LIMIT, skip: withoutIpv6 }, async (t) => {
    for (const address of ['[::1]:0', { host: '::1', port: 0 }]) {
      await listensAt(t, mode, address, { address: '::1', family: 'IPv6' });
    }
    await listensAt(t, mode, { port: 0 }, { address: '::', family: 'IPv6' });
  });

  test(`socket paths are, too (${mode})`, LIMIT, async (t) => {
    const at = path.join(folder(t), 'socket');
    for (const address of [{ path: at }, `unix:${at}`]) {
      let remote;
      const server = await serve(
        t,
        mode,
        (data, connection) => {
          remote = connection.remoteAddress;
          return data;
        },
        { unixMode: 0o640 },
        address,
      );
      assert.equal(server.address(), at);
      assert.equal(fs.statSync(at).mode & 0o777, 0o640);
      assert.equal(String(await (await connect(t, server)).write('hello').read(5)), 'hello');
      assert.equal(typeof remote, 'string');
      await server.stop(0);
      assert.equal(fs.existsSync(at), false);
    }
  });

  test(`'connectionClose' tells the reason (${mode})`, LIMIT, async (t) => {
    const options = { framing: { lengthPrefix: 4, strip: true }, maxFrameBytes: 64 };
    const patient = await serve(t, mode, echo, options);
    // Of its own, so that on a busy machine the others do not idle for so long.
    const impatient = await serve(t, mode, echo, { ...options, idleTimeoutMs: 100 });
    for (const [expected, server, act] of [
      ['peer', patient, (client) => client.end()],
      ['reset', patient, (client) => client.socket.resetAndDestroy()],
      ['frame-too-large', patient, (client) => client.write(Buffer.from([0, 0, 1, 0]))],
      ['idle-timeout', impatient, () => {}],
    ]) {
      const opened = once(server, 'connection');
      const told = once(server, 'connectionClose');
      const client = await connect(t, server);
      const [{ id }] = await opened;
      act(client);
      assert.deepEqual(await told, [id, expected]);
    }
  });
}

test('where there is no IPv6, an address of no host is all interfaces of IPv4', LIMIT, async (t) => {
  const shim = path.join(folder(t), 'no-ipv6.so');
  const source = fileURLToPath(new URL('fixtures/no-ipv6.c', import.meta.url));
  const compiled = spawnSync('cc', ['-shared', '-fPIC', '-o', shim, source, '-ldl'], { encoding: 'utf8' });
  if (process.platform !== 'linux' || compiled.error !== undefined) {
    t.skip('there is no C compiler to take IPv6 away with');
    return;
  }
  assert.equal(compiled.status, 0, compiled.stderr);
  const { stdout, stderr } = await run('no-host.mjs', [], { env: { LD_PRELOAD: shim } });
  assert.match(stdout, /^hello at IPv4 0\.0\.0\.0; (EAFNOSUPPORT|ERR_REACTOR_\w+)\n$/, stderr);
});

test('a signal that is aborted before start rejects it, and nothing listens', LIMIT, async (t) => {
  for (const process of [echo, handler('echo.mjs')]) {
    const reason = new Error('changed my mind');
    await assert.rejects(start('127.0.0.1:0', 'single', process, { signal: AbortSignal.abort(reason) }), reason);
    await assert.rejects(start('127.0.0.1:0', 'single', process, { signal: AbortSignal.abort() }), {
      name: 'AbortError',
    });
    await assert.rejects(
      start('127.0.0.1:0', 'single', process, { signal: AbortSignal.abort(null) }),
      (error) => error === null,
    );
  }
});

test('a signal that is aborted while a module loads rejects start', LIMIT, async (t) => {
  const controller = new AbortController();
  const starting = start('127.0.0.1:0', 'pooled', handler('loads-for-ever.mjs'), {
    workers: 2,
    signal: controller.signal,
  });
  setImmediate(() => controller.abort());
  await assert.rejects(starting, { name: 'AbortError' });
});

for (const { title, mode, process, few } of await variants('obedient.mjs')) {
  test(`a signal that is aborted after start stops it with no drain (${title})`, LIMIT, async (t) => {
    const controller = new AbortController();
    const server = await serve(t, mode, process, { ...few, ...LINES, signal: controller.signal });
    const client = await connect(t, server);
    assert.equal(await client.ask('echo on'), 'on');
    client.write('never\n');
    while (server.stats().requestsInFlight === 0) await new Promise((resolve) => setImmediate(resolve));
    const told = once(server, 'close');
    controller.abort();
    assert.equal(server.listening, false);
    const [report] = await told;
    assert.equal(report.requestsAbandoned, 1);
    assert.equal(server.listening, false);
    await client.ended;
  });
}

for (const { title, mode, process, few } of await variants('obedient.mjs')) {
  test(`removeAllListeners removes the program's own listeners alone (${title})`, LIMIT, async (t) => {
    const { signal } = new AbortController();
    const server = await serve(t, mode, process, { ...few, ...LINES, signal });
    server.on('connectionClose', () => assert.fail('it was removed'));
    for (const which of [[], ['newListener'], ['removeListener'], ['connectionClose']]) {
      assert.equal(server.removeAllListeners(...which), server);
      assert.equal(server.listenerCount('connectionClose'), 0);
      const client = await connect(t, server);
      const id = BigInt(await client.ask('id'));
      const told = once(server, 'connectionClose');
      client.end();
      assert.deepEqual(await told, [id, 'peer']);
    }
    server.removeAllListeners();
    await server.stop();
    assert.deepEqual(getEventListeners(signal, 'abort'), []);
  });
}

test('Symbol.asyncDispose stops the server', LIMIT, async (t) => {
  const dispose = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose');
  const server = await serve(t, 'single', echo);
  assert.equal(await server[dispose](), undefined);
  assert.equal(server.listening, false);
  await server[dispose]();
});

test('stop refuses what is no time', LIMIT, async (t) => {
  const server = await serve(t, 'single', echo);
  for (const wrong of ['5', -1, 1.5, NaN, Infinity, null, 2 ** 32]) {
    await assert.rejects(server.stop(wrong), {
      name: 'TypeError',
      message: /drainTimeoutMs must be a whole number.*, and is /,
    });
  }
  assert.equal(server.listening, true);
});

test("a listener of 'close' that throws does not keep stop from its end", LIMIT, async () => {
  const { code, stdout, stderr } = await run('throwing-close.mjs');
  assert.equal(code, 0, stderr);
  assert.equal(lastLine(stdout), 'stopped, uncaught: from the listener');
});

test("'close' is the last event: a handler that fails after it is warned of", LIMIT, async (t) => {
  let fail;
  const server = await serve(t, 'single', () => new Promise((_, reject) => (fail = reject)));
  const events = [];
  for (const event of ['handlerError', 'close']) server.on(event, () => events.push(event));
  (await connect(t, server)).write('never answered');
  await until(() => fail !== undefined);
  await server.stop(0);
  const warned = once(process, 'warning');
  fail(new Error('too late'));
  const [warning] = await warned;
  assert.equal(warning.name, 'ReactorHandlerWarning');
  assert.match(warning.message, /too late/);
  assert.deepEqual(events, ['close']);
});

test('the package is the same by require and by import', LIMIT, async () => {
  const { createRequire } = await import('node:module');
  const required = createRequire(import.meta.url)('../index.js');
  const imported = await import('../index.mjs');
  assert.equal(required.start, imported.start);
  assert.equal(imported.default, required);
  assert.match(imported.version, /^\d+\.\d+\.\d+$/);
  assert.equal(imported.version, required.version);
});

test('a Server is made by start alone', LIMIT, async (t) => {
  const server = await serve(t, 'single', echo);
  assert.throws(() => new server.constructor(), { name: 'TypeError', message: /made by start/ });
});
