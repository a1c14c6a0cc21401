// As examples/c/deferred.c: gives each line back with the time that it took, which is random, up to --compute-ms. Promises
// settle in any order, and the replies leave in that of the requests.

import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread } from 'node:worker_threads';
import { scene, serve } from './host.mjs';

export default async function process(line) {
  const ms = Math.floor(Math.random() * scene.computeMs);
  await sleep(ms);
  return `${line} (${ms} ms)`;
}

const options = { framing: { delimiter: '\n', strip: true }, order: 'parallel' };
if (isMainThread) await serve({ process }, import.meta.url, options, 'signal');
