// What the cluster client sends.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageStream } from '../tcp-client/message-stream.mjs';

/** All of a stream, read in pieces of at most `mostBytes`. */
function readAll(settings, mostBytes = 1 << 20) {
  const stream = new MessageStream({ pid: 42, index: 7, messages: 2, sizeBytes: undefined, ...settings });
  const pieces = [];
  while (!stream.ended) {
    const piece = stream.read(mostBytes);
    assert.ok(piece.length > 0 && piece.length <= mostBytes);
    pieces.push(piece);
  }
  assert.equal(stream.read(mostBytes).length, 0);
  return Buffer.concat(pieces);
}

test('a_message_names_its_process_its_connection_and_its_number', () => {
  assert.equal(readAll({}).toString(), '[process 42](7) message 1\n[process 42](7) message 2\n');
});

test('messages_have_exactly_the_size_asked_for', () => {
  for (const sizeBytes of [1, 2, 25, 26, 27, 28, 1_000, 200_000]) {
    const bytes = readAll({ sizeBytes, messages: 11 });
    assert.equal(bytes.length, 11 * sizeBytes);
    const newlines = [...bytes.entries()].filter(([, byte]) => byte === 10).map(([at]) => at + 1);
    assert.deepEqual(newlines, Array.from({ length: 11 }, (_, i) => (i + 1) * sizeBytes));
  }
});

test('the_bytes_do_not_depend_on_how_they_are_read', () => {
  const whole = readAll({ sizeBytes: 70_000 });
  for (const mostBytes of [1, 7, 4_096, 65_536]) {
    assert.ok(whole.equals(readAll({ sizeBytes: 70_000 }, mostBytes)), `${mostBytes} at a time`);
  }
});

test('no_two_streams_are_alike', () => {
  const padded = (settings) => readAll({ sizeBytes: 1_000, ...settings }).subarray(100, 900).toString();
  const streams = [{}, { pid: 43 }, { index: 8 }, { pid: 43, index: 8 }].map(padded);
  assert.equal(new Set(streams).size, streams.length);
});

test('a_block_of_a_power_of_two_that_moved_is_seen', () => {
  const bytes = readAll({ sizeBytes: 1 << 20, messages: 1 });
  for (let block = 256; block <= 1 << 18; block *= 2) {
    const here = bytes.subarray(block, 2 * block);
    assert.ok(!here.equals(bytes.subarray(2 * block, 3 * block)), `${block} bytes`);
  }
});
