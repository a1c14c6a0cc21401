// The thread of a test program that reads standard input where a handler blocks the main thread; see host.mjs. It opens
// the gates itself, and posts every line.

import fs from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { openGate } from './host.mjs';

parentPort.postMessage('ready');
const chunk = Buffer.alloc(256);
let rest = '';
for (let length; (length = fs.readSync(0, chunk)) > 0; ) {
  const lines = (rest + chunk.toString('latin1', 0, length)).split('\n');
  rest = lines.pop();
  for (const line of lines) {
    if (line.startsWith('go ')) openGate(Number(line.slice('go '.length)));
    parentPort.postMessage(line);
  }
}
