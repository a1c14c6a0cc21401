// The handler of `echo.mjs --module`. Each worker thread loads it once.

import { setTimeout as sleep } from 'node:timers/promises';
import { workerData } from 'node:worker_threads';

const { computeMs } = workerData;

export default async function echo(data) {
  if (computeMs > 0) await sleep(computeMs);
  return data;
}
