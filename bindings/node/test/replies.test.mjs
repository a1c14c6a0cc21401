// What a handler may return, at once or as a promise, and what a return of another type costs.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { closings, connect, framed, LIMIT, next, PREFIXED, serve, variants } from './fixtures/scene.mjs';

const REPLIES = {
  buffer: Buffer.from('ab\0c'),
  empty: Buffer.alloc(0),
  bytes: Buffer.from([2, 255]),
  shared: Buffer.from([7, 7, 7]),
  large: Buffer.alloc(399_999, 65),
  largeText: Buffer.from('é'.repeat(300_000)),
  text: Buffer.from('grüße, 世界 👋'),
  surrogate: Buffer.from('a\ufffdb'),
  '': Buffer.alloc(0),
  twice: Buffer.from('once'),
};
const WRONG = {
  number: 'the number 5',
  object: 'an instance of Object',
  array: 'an instance of Array',
  true: 'the boolean true',
  view: 'an instance of DataView',
  words: 'an instance of Uint16Array',
  arrayBuffer: 'an instance of ArrayBuffer',
  symbol: 'the symbol Symbol(s)',
  bigint: 'the bigint 1',
  naked: 'an instance of Object',
  function: 'a function',
};

for (const { title, mode, process, few } of await variants('returns.mjs')) {
  for (const how of ['now', 'async', 'later']) {
    test(`Buffer, Uint8Array, string and nothing are replies, ${how} (${title})`, LIMIT, async (t) => {
      const server = await serve(t, mode, process, { ...few, ...PREFIXED });
      const client = await connect(t, server);
      for (const [name, expected] of Object.entries(REPLIES)) {
        client.write(framed(`${how} ${name}`));
        assert.ok((await client.frame()).equals(expected), name);
      }
      // Nothing is sent for these: the next reply is the next to arrive.
      for (const name of ['null', 'undefined']) client.write(framed(`${how} ${name}`));
      client.write(framed(`${how} text`));
      assert.equal(String(await client.frame()), 'grüße, 世界 👋');
      client.end();
      assert.equal((await client.rest()).length, 0);
    });
  }

  test(`a reply of another type costs its connection and says what it was (${title})`, LIMIT, async (t) => {
    const server = await serve(t, mode, process, { ...few, ...PREFIXED });
    const closed = closings(server);
    const survivor = await connect(t, server);
    for (const how of ['now', 'async']) {
      for (const [name, what] of Object.entries(WRONG)) {
        const failed = next(server, 'handlerError');
        const client = await connect(t, server);
        client.write(framed(`${how} ${name}`));
        const [error, id] = await failed;
        assert.equal(error.name, 'TypeError');
        const expected = 'a handler returns a Uint8Array, a string, null or undefined';
        assert.equal(error.message, `${expected}, and returned ${what}`);
        assert.equal((await client.rest()).length, 0);
        assert.equal(await closed.of(id), 'callback-failed');
      }
    }
    const failed = next(server, 'handlerError');
    const client = await connect(t, server);
    client.write(framed('now badThen'));
    assert.equal((await failed)[0].message, 'from then');
    await client.ended;
    survivor.write(framed('now text'));
    assert.equal(String(await survivor.frame()), 'grüße, 世界 👋');
  });
}

test('bytes of another realm are bytes', LIMIT, async (t) => {
  const { runInNewContext } = await import('node:vm');
  const server = await serve(t, 'single', () => runInNewContext('new Uint8Array([104, 105])'), PREFIXED);
  const client = await connect(t, server);
  client.write(framed('x'));
  assert.equal(String(await client.frame()), 'hi');
  assert.equal(server.broadcast(runInNewContext('new Uint8Array([104, 111])')), 1);
  assert.equal(String(await client.frame()), 'ho');
});

test("a thenable that settles twice cannot answer another's request", LIMIT, async (t) => {
  // The second call comes when the first one's key has been used again.
  const late = [];
  const server = await serve(
    t,
    'single',
    (data) => {
      if (String(data) !== 'twice') return data;
      return {
        then(resolve) {
          resolve('first');
          late.push(resolve);
        },
      };
    },
    PREFIXED,
  );
  const client = await connect(t, server);
  client.write(framed('twice'));
  assert.equal(String(await client.frame()), 'first');
  const answers = [];
  for (const text of ['a', 'b', 'c']) {
    client.write(framed(text));
    late[0]('forged');
    answers.push(String(await client.frame()));
  }
  assert.deepEqual(answers, ['a', 'b', 'c']);
});

test("a promise is waited for as await does it, past a 'then' of its own", LIMIT, async (t) => {
  const process = () =>
    Object.assign(Promise.resolve('kept'), {
      then(resolve, reject) {
        resolve('forged');
        reject(new Error('forged'));
      },
    });
  const server = await serve(t, 'single', process, PREFIXED);
  server.on('handlerError', (error) => assert.fail(error));
  const client = await connect(t, server);
  client.write(framed('x'));
  assert.equal(String(await client.frame()), 'kept');
});
