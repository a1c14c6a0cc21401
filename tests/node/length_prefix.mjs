// As examples/c/length_prefix.c: a message is its length, four bytes, and its bytes; the first of them says what to do
// with the others. 'r' reverses them, 'u' upper-cases them, 's' adds them up; a reply begins with 0, or with 1 and says
// what was wrong.

import { isMainThread } from 'node:worker_threads';
import { serve } from './host.mjs';

const MAX_MESSAGE_BYTES = 64 * 1024;
const OK = Buffer.of(0);
const ERROR = Buffer.of(1);

function upperCase(byte) {
  return byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte;
}

function sum(bytes) {
  const total = Buffer.alloc(8);
  total.writeBigUInt64BE(BigInt(bytes.reduce((so, byte) => so + byte, 0)));
  return total;
}

const OPERATIONS = { r: (bytes) => bytes.toReversed(), u: (bytes) => bytes.map(upperCase), s: sum };

export default function process(data) {
  if (data.length === 0) return Buffer.concat([ERROR, Buffer.from('an empty message has no operation')]);
  const operation = OPERATIONS[String.fromCharCode(data[0])];
  if (operation === undefined) return Buffer.concat([ERROR, Buffer.from('no such operation')]);
  return Buffer.concat([OK, operation(data.subarray(1))]);
}

const options = { framing: { lengthPrefix: 4, strip: true }, maxFrameBytes: 4 + MAX_MESSAGE_BYTES };
if (isMainThread) await serve({ process }, import.meta.url, options, 'signal');
