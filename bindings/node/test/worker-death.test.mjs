// A worker that dies is replaced; what it had in flight fails its connections, and nobody else's.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { closings, connect, framed, handler, LIMIT, LINES, PREFIXED, serve, until } from './fixtures/scene.mjs';

const REQUESTS = Number(process.env.REQUESTS ?? 200_000);
const CONNECTIONS = 32;
const PIPELINED = 16;

/** Two workers, and a client of each. */
async function pair(t, options = {}) {
  const server = await serve(t, 'pooled', handler('obedient.mjs'), { ...LINES, workers: 2, ...options });
  const closed = closings(server);
  const [victim, survivor] = [await connect(t, server), await connect(t, server)];
  const homes = [await victim.ask('thread'), await survivor.ask('thread')];
  assert.notEqual(homes[0], homes[1]);
  return { server, closed, victim, survivor, homes };
}

const DEATHS = [
  ['exit 5', 5, undefined],
  ['exit 0', 0, undefined],
  ['crash spoiled', 1, { name: 'CustomError', message: 'spoiled', code: 'E_CUSTOM' }],
  ['rejectLoose spoiled', 1, { name: 'CustomError', message: 'spoiled' }],
  ['swell', 1, { code: 'ERR_WORKER_OUT_OF_MEMORY' }],
];

for (const [deed, exitCode, cause] of DEATHS) {
  test(`a worker that dies by '${deed}' is replaced; its requests in flight fail, others go on`, LIMIT, async (t) => {
    const limits = deed === 'swell' ? { workerOptions: { resourceLimits: { maxOldGenerationSizeMb: 32 } } } : {};
    const { server, closed, victim, survivor, homes } = await pair(t, limits);
    const id = BigInt(await victim.ask('id'));
    const errors = [];
    server.on('handlerError', (error, connectionId) => errors.push([error, connectionId]));
    const exited = once(server, 'workerExit');
    victim.write(`echo before\n${deed}\necho never\n`);
    assert.deepEqual(await exited, [exitCode]);
    const got = String(await victim.rest());
    assert.ok(['', 'before\n'].includes(got), `what was posted before it died, no more: ${got}`);
    assert.equal(await closed.of(id), 'callback-failed');
    assert.equal(await survivor.ask('echo on'), 'on');
    assert.equal(await survivor.ask('thread'), homes[1]);
    if (cause === undefined) assert.deepEqual(errors, []);
    else {
      assert.equal(errors.length, 1);
      const [[error, connectionId]] = errors;
      for (const [property, value] of Object.entries(cause)) assert.equal(error[property], value);
      assert.equal(connectionId, 0n);
    }
    // The next connection goes to the replacement.
    const next = await connect(t, server);
    const home = await next.ask('thread');
    assert.equal(homes.includes(home), false);
    assert.equal(await next.ask('state a'), 'a');
    assert.equal(closed.reasons.size, 1);
  });
}

test(
  'a connection that had nothing in flight when its worker died lives on, with a new home and no state',
  LIMIT,
  async (t) => {
    const { server, victim, survivor, homes } = await pair(t);
    assert.equal(await victim.ask('state a'), 'a');
    const idle = await connect(t, server);
    const other = await connect(t, server);
    const spare = [idle, other];
    let neighbour;
    for (const client of spare) if ((await client.ask('thread')) === homes[0]) neighbour = client;
    assert.equal(await neighbour.ask('state b'), 'b');
    const exited = once(server, 'workerExit');
    neighbour.write('exit 0\n');
    await exited;
    await neighbour.ended;
    assert.equal(await victim.ask('state c'), 'c');
    assert.equal(await victim.ask('address'), `127.0.0.1:${victim.socket.localPort}`);
    assert.equal(await survivor.ask('echo on'), 'on');
  },
);

test('in serial a module hears of open in every home of a connection', LIMIT, async (t) => {
  const server = await serve(t, 'pooled', handler('hooks-mortal.mjs'), { ...LINES, workers: 1 });
  const [first, second] = [await connect(t, server), await connect(t, server)];
  assert.equal(await first.line(), 'welcome');
  assert.equal(await second.line(), 'welcome');
  second.write('exit\n');
  await second.ended;
  first.write('hello\n');
  assert.deepEqual(await first.lines(2), ['welcome', 'hello']);
});

for (const order of ['serial', 'parallel', 'unordered']) {
  test(`who comes, or goes, while its worker is replaced is told of to the new one (${order})`, LIMIT, async (t) => {
    const gate = new Int32Array(new SharedArrayBuffer(8));
    const server = await serve(t, 'pooled', handler('heir.mjs'), {
      ...LINES,
      order,
      workers: 1,
      workerOptions: { workerData: gate },
    });
    const release = () => {
      Atomics.store(gate, 1, 1);
      Atomics.notify(gate, 1);
    };
    t.after(release);
    const ended = [];
    server.on('connectionClose', (id) => ended.push(id));
    (await connect(t, server)).write('exit\n');
    await until(() => gate[0] === 2);
    await until(() => ended.length === 1);
    const guest = await connect(t, server);
    guest.write('log\n');
    await until(() => server.stats().requestsInFlight === 1);
    guest.socket.resetAndDestroy();
    await until(() => ended.length === 2);
    const late = await connect(t, server);
    const asked = late.ask('id');
    release();
    const id = await asked;
    assert.deepEqual((await late.ask('log')).split(',').slice(-3), [
      `open ${ended[1]}`,
      `close ${ended[1]} reset`,
      `open ${id}`,
    ]);
  });
}

test('a replacement that cannot be loaded raises error, is tried again, and its connections wait', LIMIT, async (t) => {
  const loads = new Int32Array(new SharedArrayBuffer(4));
  loads[0] = 1;
  const server = await serve(t, 'pooled', handler('breaks-later.mjs'), {
    ...LINES,
    workers: 1,
    workerOptions: { workerData: loads },
  });
  const [first, second] = [await connect(t, server), await connect(t, server)];
  assert.equal(await first.ask('hello'), 'hello');
  const failed = once(server, 'error');
  second.write('exit\n');
  assert.equal((await failed)[0].message, 'cannot be loaded any more');
  first.write('patient\n');
  Atomics.store(loads, 0, 1);
  assert.equal(await first.line(), 'patient');
});

test('a replacement that Node refuses to start raises error, and the server goes on', LIMIT, async (t) => {
  const bytes = new ArrayBuffer(8);
  const server = await serve(t, 'pooled', handler('obedient.mjs'), {
    ...LINES,
    workers: 1,
    workerOptions: { workerData: { bytes } },
  });
  // What the first worker was given a copy of can be copied no more.
  structuredClone(bytes, { transfer: [bytes] });
  const failed = once(server, 'error');
  (await connect(t, server)).write('exit 0\n');
  assert.equal((await failed)[0].name, 'DataCloneError');
  await connect(t, server);
  await server.stop(0);
});

test('stop while a worker is being replaced comes to its end', LIMIT, async (t) => {
  for (let round = 0; round < 5; round += 1) {
    const { server, victim } = await pair(t);
    const exited = once(server, 'workerExit');
    victim.write('exit 1\n');
    await exited;
    const report = await server.stop();
    assert.equal(report.callbacksRunning, 0);
  }
});

for (const order of ['serial', 'parallel', 'unordered']) {
  const COUNT = order === 'serial' ? REQUESTS : Math.floor(REQUESTS / 8);
  test(
    `${COUNT} requests with workers that die at random: each is answered or its connection closed, none hangs (${order})`,
    { timeout: 60_000 + COUNT / 5 },
    async (t) => {
      const server = await serve(t, 'pooled', handler('mortal.mjs'), {
        ...PREFIXED,
        order,
        workers: 3,
        workerOptions: { workerData: { lives: COUNT / 12 } },
      });
      const closed = closings(server);
      let exits = 0;
      server.on('workerExit', () => (exits += 1));
      server.on('handlerError', () => {});
      let [begun, answered, lost, broken] = [0, 0, 0, 0];
      const run = async () => {
        while (begun < COUNT) {
          const client = await connect(undefined, server);
          let waiting = 0;
          try {
            while (begun < COUNT) {
              const sent = Array.from({ length: PIPELINED }, (_, index) => `${begun + index} `.repeat(1 + (begun % 9)));
              begun += PIPELINED;
              waiting = PIPELINED;
              client.write(Buffer.concat(sent.map(framed)));
              const due = new Set(sent);
              for (const expected of sent) {
                const got = String(await client.frame());
                if (order !== 'unordered') assert.equal(got, expected);
                assert.ok(due.delete(got), `${got} was asked for, once`);
                waiting -= 1;
                answered += 1;
              }
            }
            client.end();
            assert.equal((await client.rest()).length, 0);
          } catch (error) {
            if (error.code === 'ERR_ASSERTION') throw error;
            await client.ended;
            lost += waiting;
            broken += 1;
          }
        }
      };
      await Promise.all(Array.from({ length: CONNECTIONS }, run));
      assert.equal(answered + lost, begun);
      assert.ok(exits > 0, 'workers died');
      await server.stop();
      const reasons = [...closed.reasons.values()];
      assert.equal(reasons.filter((reason) => reason === 'callback-failed').length, broken);
      assert.deepEqual(new Set(reasons), new Set(['peer', 'callback-failed']));
      t.diagnostic(`${answered} answered, ${lost} lost with ${broken} connections, ${exits} workers died`);
    },
  );
}

test('a worker that dies while its lane is full loses no other connection', LIMIT, async (t) => {
  const { server, victim, survivor } = await pair(t);
  const flood = [];
  for (let count = 0; count < 20; count += 1) flood.push(await connect(t, server));
  const exited = once(server, 'workerExit');
  victim.write('exit 1\n');
  for (const client of flood) client.write('echo flood\n'.repeat(500));
  await exited;
  const outcomes = await Promise.all(
    flood.map((client) =>
      client.lines(500).then(
        () => 'all',
        () => 'closed',
      ),
    ),
  );
  assert.ok(outcomes.filter((outcome) => outcome === 'all').length >= 10, String(outcomes));
  assert.equal(await survivor.ask('echo on'), 'on');
  await until(() => server.stats().requestsInFlight === 0);
});
