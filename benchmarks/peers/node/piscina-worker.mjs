// What the worker threads of the piscina peer run.

import { workerData } from 'node:worker_threads';
import { compute } from '../../compute.mjs';

// Piscina keeps the user's data behind its own (its README, workerData).
const { iterations } = Array.isArray(workerData) ? workerData.at(-1) : workerData;

export default function echo(data) {
  if (iterations > 0) compute(iterations);
  return data;
}
