// The compute step of the rows with JavaScript: a fixed amount of work, the same in each server. Knows nothing of them.
//
// As a program it says how many iterations take a microsecond here; a whole run uses one such figure, so that a machine
// that changes its speed does not change the work.

import { pathToFileURL } from 'node:url';

// Kept where the compiler cannot know that nobody reads it.
export let sink = 0;

/** @param {number} iterations */
export function compute(iterations) {
  let state = iterations | 1;
  for (let i = 0; i < iterations; i += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0; // Numerical Recipes' generator
  }
  sink = state;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const iterations = 50_000;
  let shortestMs = Infinity;
  for (let i = 0; i < 2_000; i += 1) {
    const begun = performance.now();
    compute(iterations);
    shortestMs = Math.min(shortestMs, performance.now() - begun);
  }
  console.log(`iterations_per_us ${(iterations / (shortestMs * 1_000)).toFixed(1)}`);
}
