// Bytes in and bytes out: none lost, none changed, of any size, in every mode.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { connect, framed, handler, LIMIT, LINES, MODES, PREFIXED, serve, until, variants } from './fixtures/scene.mjs';
import { pattern } from './fixtures/handlers/grow.mjs';

const MIB = 1 << 20;
const SIZES = [1, 2, 3, 64, 4095, 65_536, 65_537, 262_124, 262_144, 262_145, MIB, 8 * MIB];
const REQUESTS = 100_000;
const CONNECTIONS = 20;
const LARGE = { maxFrameBytes: 9 * MIB, outputLimitBytes: 9 * MIB, memoryLimitBytes: 128 * MIB };

for (const { title, mode, process, few } of await variants('echo.mjs')) {
  test(`echo is byte-exact from 1 B to 8 MiB, raw (${title})`, LIMIT, async (t) => {
    const server = await serve(t, mode, process, few);
    const client = await connect(t, server);
    for (const size of SIZES) {
      const sent = randomBytes(size);
      assert.ok((await client.write(sent).read(size)).equals(sent), `${size} bytes`);
    }
  });

  test(`echo is byte-exact from 0 B to 8 MiB, in frames larger than a batch too (${title})`, LIMIT, async (t) => {
    const server = await serve(t, mode, process, { ...few, ...PREFIXED, ...LARGE });
    const client = await connect(t, server);
    for (const size of [0, ...SIZES]) {
      const sent = randomBytes(size);
      client.write(framed(sent));
      assert.ok((await client.frame()).equals(sent), `${size} bytes`);
    }
    const mixed = [5, 300_000, 0, MIB, 1, 262_130, 7].map((size) => randomBytes(size));
    client.write(Buffer.concat(mixed.map(framed)));
    for (const sent of mixed) assert.ok((await client.frame()).equals(sent), `${sent.length} bytes among others`);
  });

  test(`the last bytes before the end are answered (${title})`, LIMIT, async (t) => {
    const server = await serve(t, mode, process, few);
    const client = await connect(t, server);
    const sent = randomBytes(3 * MIB);
    client.end(sent);
    assert.ok((await client.rest()).equals(sent));
    assert.equal(client.error, undefined);
  });
}

for (const { title, mode, process, few } of await variants('grow.mjs')) {
  test(`replies larger than a batch arrive whole and in order (${title})`, LIMIT, async (t) => {
    const server = await serve(t, mode, process, { ...few, ...LINES, ...LARGE });
    const client = await connect(t, server);
    const sizes = [10, 262_131, 262_132, 262_145, 0, 1_000_000, 3, 8 * MIB, 1];
    client.write(sizes.map((size) => `${size}\n`).join(''));
    for (const size of sizes) {
      const reply = await client.read(size + 1);
      assert.ok(reply.subarray(0, size).equals(pattern(size)), `${size} bytes`);
      assert.equal(reply[size], 10);
    }
  });
}

for (const mode of MODES) {
  test(`a handler's buffers are its own and stay intact (${mode})`, LIMIT, async (t) => {
    const kept = [];
    let seen = 0;
    const server = await serve(
      t,
      mode,
      (data) => {
        seen += 1;
        if (seen % 100 === 1) kept.push(data);
        return 'x';
      },
      PREFIXED,
    );
    const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => connect(t, server)));
    const request = (number) => {
      const bytes = Buffer.alloc(64, number & 0xff);
      bytes.writeUInt32BE(number);
      return framed(bytes);
    };
    for (let number = 0; number < REQUESTS; number += 1000) {
      const some = Array.from({ length: 1000 }, (_, index) => request(number + index));
      clients[(number / 1000) % CONNECTIONS].write(Buffer.concat(some));
    }
    for (const client of clients) await client.read((REQUESTS / CONNECTIONS) * 5);
    assert.equal(kept.length, REQUESTS / 100);
    for (const data of kept) assert.ok(data.equals(request(data.readUInt32BE()).subarray(4)), 'as it came');
    assert.equal(new Set(kept.map((data) => data.readUInt32BE())).size, kept.length);
  });
}

test('a buffer given to a handler may be written to', LIMIT, async (t) => {
  const server = await serve(
    t,
    'single',
    (data) => {
      const before = String(data);
      data.fill(0x78);
      return before;
    },
    LINES,
  );
  const client = await connect(t, server);
  const requests = Array.from({ length: 2000 }, (_, number) => `request-${number}`);
  client.write(requests.map((line) => `${line}\n`).join(''));
  assert.deepEqual(await client.lines(requests.length), requests);
});

test('while a worker is blocked its lane pauses reading, in bounds, and nothing is lost', LIMIT, async (t) => {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const server = await serve(t, 'pooled', handler('gate.mjs'), {
    workers: 1,
    workerOptions: { workerData: gate },
  });
  t.after(() => Atomics.store(gate, 0, 1) || Atomics.notify(gate, 0));
  const clients = await Promise.all(Array.from({ length: 4 }, () => connect(t, server)));
  const sent = randomBytes(8 * MIB);
  for (const client of clients) client.write(sent);
  // Each has one request waiting, of what one read has brought; the system holds the rest.
  await until(() => server.stats().readsPaused === clients.length);
  assert.equal(server.stats().requestsInFlight, clients.length);
  assert.ok(server.stats().memoryBytes <= MIB, `${server.stats().memoryBytes} bytes held`);
  Atomics.store(gate, 0, 1);
  Atomics.notify(gate, 0);
  for (const client of clients) assert.ok((await client.read(sent.length)).equals(sent));
});
