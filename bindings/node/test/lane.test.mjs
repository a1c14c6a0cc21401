// The bound of a lane: how many requests wait for JavaScript at the most, however many clients send however much. What
// becomes of those that wait, and of news, when the thread that serves it goes.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { connect, handler, LIMIT, LINES, program, serve, until } from './fixtures/scene.mjs';

const require = createRequire(import.meta.url);
const { load } = require('../lib/native.js');
const { Lane } = require('../lib/lane.js');

const CLIENTS = 300;
const ASKED = 64;
/** As src/config.rs has them. */
const LANE_REQUESTS = 8192;
const FULL_REQUESTS = 7168;
/** Parallel order and lines, in the numbers of src/settings.rs. */
const NATIVE = { order: 1, framing: 1, delimiter: [10], strip: false };

/** Many clients in a thread of their own; `progress` is [have sent all, have all replies]. */
function clients(t, port) {
  const progress = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(program('clients.mjs'), { workerData: { port, clients: CLIENTS, asked: ASKED, progress } });
  t.after(() => worker.terminate());
  return { progress, done: once(worker, 'message') };
}

/** Blocks this thread, and with it the handler, until `holds`. */
function block(holds) {
  const nobody = new Int32Array(new SharedArrayBuffer(4));
  const deadline = performance.now() + 20_000;
  while (!holds()) {
    assert.ok(performance.now() < deadline, 'it did not come while the thread was blocked');
    Atomics.wait(nobody, 0, 0, 1);
  }
}

for (const mode of ['single', 'multi']) {
  test(`of more requests than a lane takes none is lost, and never too many wait (${mode})`, LIMIT, async (t) => {
    const hub = new (load().Hub)(1, true, false);
    // A hub by itself holds no process: that is the server's part.
    const alive = setInterval(() => {}, 1_000);
    t.after(() => clearInterval(alive));
    let many;
    let admitted;
    const process = (data) => {
      if (admitted === undefined) {
        block(() => many.progress[0] === CLIENTS && hub.mostWaiting(0)[0] >= FULL_REQUESTS);
        block(() => hub.stats().readsPaused > 0);
        admitted = hub.stats().requestsInFlight;
      }
      return data;
    };
    const lane = new Lane(hub, 0, { homes: true, serial: false }, { process, failed: (error) => assert.fail(error) });
    const ended = new Promise((resolve) => hub.start('127.0.0.1:0', mode === 'multi' ? 2 : 0, NATIVE, resolve));
    many = clients(t, Number(hub.address().split(':')[1]));
    await many.done;
    const [most, limit] = hub.mostWaiting(0);
    assert.equal(limit, LANE_REQUESTS);
    assert.ok(most <= limit, `${most} waited`);
    assert.ok(admitted < CLIENTS * ASKED, `${admitted} were admitted: nothing was held back`);
    const { requests, replies, requestsInFlight } = hub.stats();
    assert.deepEqual([requests, replies, requestsInFlight], [CLIENTS * ASKED, CLIENTS * ASKED, 0]);
    hub.requestStop(0);
    await ended;
    hub.ended();
    lane.detach();
  });
}

test('the successor of a thread hears the news that waited for it, and has none of its requests', LIMIT, async (t) => {
  const hub = new (load().Hub)(1, true, true);
  const alive = setInterval(() => {}, 1_000);
  t.after(() => clearInterval(alive));
  // It never takes anything.
  const gone = hub.attach(0, () => {});
  // Serial order and lines, in the numbers of src/settings.rs.
  const ended = new Promise((resolve) => hub.start('127.0.0.1:0', 0, { ...NATIVE, order: 0 }, resolve));
  const server = { address: () => ({ address: '127.0.0.1', port: Number(hub.address().split(':')[1]) }) };
  const idle = await connect(t, server);
  const asking = await connect(t, server);
  const [first, second] = [idle, asking].map((client) => `127.0.0.1:${client.socket.localPort}`);
  asking.write('never answered\n');
  await until(() => hub.stats().connectionsOpen === 2 && hub.stats().requestsInFlight === 1);
  gone.detach();
  // Its request has failed it, while nobody serves the lane.
  await asking.ended;
  await until(() => hub.stats().connectionsOpen === 1);
  idle.write('answered\n');
  const heard = [];
  const lane = new Lane(hub, 0, { homes: true, serial: true }, {
    open: (connection) => heard.push(`open ${connection.remoteAddress}`),
    process: (data) => heard.push(String(data)) && data,
    close: (connection, reason) => heard.push(`close ${connection.remoteAddress} ${reason}`),
    failed: (error) => assert.fail(error),
  });
  assert.equal(await idle.line(), 'answered');
  assert.deepEqual(heard, [`open ${first}`, `open ${second}`, `close ${second} callback-failed`, 'answered\n']);
  hub.requestStop(0);
  await ended;
  hub.ended();
  lane.detach();
  assert.equal(heard.at(-1), `close ${first} shutdown`);
});

test('a lane that is left for good takes all that waits first, however many batches that are', LIMIT, () => {
  const CLOSE = 2;
  // More than are taken in one go; each batch tells that a connection has ended.
  const waiting = Array.from({ length: 100 }, (_, low) => [CLOSE, 0, low, 1, 0]);
  const calls = [];
  const native = {
    exchange: (_replies, _used, into) => {
      const entry = waiting.shift() ?? [];
      new Uint32Array(into.buffer).set(entry);
      return entry.length * 4;
    },
    detach: () => calls.push('detach'),
  };
  const hub = { attach: () => native };
  const lane = new Lane(hub, 0, { homes: true, serial: true }, { close: (_connection, _reason, id) => calls.push(id) });
  lane.detach();
  assert.deepEqual(calls, [...Array.from({ length: 100 }, (_, low) => (1n << 32n) | BigInt(low)), 'detach']);
});

for (const order of ['serial', 'parallel']) {
  test(`modules whose lanes are full hold their connections and answer everything (${order})`, LIMIT, async (t) => {
    const gate = new Int32Array(new SharedArrayBuffer(4));
    const server = await serve(t, 'pooled', handler('gate.mjs'), {
      framing: { delimiter: '\n' },
      order,
      workers: 2,
      workerOptions: { workerData: gate },
    });
    t.after(() => Atomics.store(gate, 0, 1) || Atomics.notify(gate, 0));
    const { progress, done } = clients(t, server.address().port);
    await until(() => progress[0] === CLIENTS && server.stats().readsPaused > 0);
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
    await done;
    assert.equal(progress[1], CLIENTS);
  });
}

test('who waits for a full lane is served by the worker that replaces the one that died', LIMIT, async (t) => {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const server = await serve(t, 'pooled', handler('mortal-gate.mjs'), {
    ...LINES,
    order: 'parallel',
    workers: 1,
    workerOptions: { workerData: gate },
  });
  t.after(() => Atomics.store(gate, 0, 1) || Atomics.notify(gate, 0));
  const victim = await connect(t, server);
  victim.write('die\n');
  const flood = [];
  for (let count = 0; count < 200; count += 1) flood.push(await connect(t, server));
  for (const client of flood) client.write('echo\n'.repeat(ASKED));
  await until(() => server.stats().requests >= FULL_REQUESTS);
  // What comes now finds the lane full: nothing of it is in flight when the worker dies.
  const late = await connect(t, server);
  late.write('echo\n');
  const exited = once(server, 'workerExit');
  Atomics.store(gate, 0, 1);
  Atomics.notify(gate, 0);
  await exited;
  assert.equal(await late.line(), 'echo');
  const outcomes = await Promise.all(
    flood.map((client) =>
      client.lines(ASKED).then(
        () => 'answered',
        () => 'closed',
      ),
    ),
  );
  assert.ok(outcomes.includes('closed'), 'some had requests in flight');
  assert.ok(outcomes.includes('answered'), 'some had none');
  await until(() => server.stats().requestsInFlight === 0);
});
