// When replies go back: not only with the last of the batch that their requests were taken in.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, handler, LIMIT, LINES, serve, until } from './fixtures/scene.mjs';

/** Lets these requests become one batch: they queue up while the only worker is held by one before them. */
async function asOneBatch(t, requests) {
  const shared = new Int32Array(new SharedArrayBuffer(12));
  const release = (index) => {
    Atomics.store(shared, index, 1);
    Atomics.notify(shared, index);
  };
  t.after(() => [1, 2].forEach((index) => release(index)));
  const options = { ...LINES, order: 'parallel', workers: 1, workerOptions: { workerData: shared } };
  const server = await serve(t, 'pooled', handler('waits-for-a-reply.mjs'), options);
  const client = await connect(t, server);
  client.write('hold\n');
  await until(() => shared[0] === 1);
  client.write(requests.map((request) => `${request}\n`).join(''));
  await until(() => server.stats().requests === 1 + requests.length);
  release(1);
  assert.equal(await client.line(), 'hold');
  return { client, hasFirst: () => release(2) };
}

// Each worker here waits, in a later request of the batch, until the first one's reply has come.

test('the reply to a costly request does not wait for the rest of its batch', LIMIT, async (t) => {
  const { client, hasFirst } = await asOneBatch(t, ['cost', 'wait', 'pass', 'pass', 'pass']);
  assert.equal(await client.line(), 'cost');
  hasFirst();
  assert.deepEqual(await client.lines(4), ['wait', 'pass', 'pass', 'pass']);
});

test('the replies of the first half of a batch do not wait for the second', LIMIT, async (t) => {
  const { client, hasFirst } = await asOneBatch(t, ['pass', 'pass', 'wait', 'pass']);
  assert.deepEqual(await client.lines(2), ['pass', 'pass']);
  hasFirst();
  assert.deepEqual(await client.lines(2), ['wait', 'pass']);
});
