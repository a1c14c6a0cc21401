// Echo after the compute step, for worker threads.

import { workerData } from 'node:worker_threads';
import { compute } from '../compute.mjs';

const { iterations } = workerData;

export default function echo(data) {
  if (iterations > 0) compute(iterations);
  return data;
}
