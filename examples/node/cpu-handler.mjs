// The handler of cpu.mjs: work that keeps its thread busy, with nothing to wait for. Each worker thread loads it once.

const LARGEST = 10_000_000; // a request must not be able to take for ever

export default function primesBelow(line) {
  const limit = Math.min(Number(line), LARGEST);
  if (!Number.isInteger(limit) || limit < 0) return 'a whole number, please';
  const isComposite = new Uint8Array(limit);
  let count = 0;
  for (let candidate = 2; candidate < limit; candidate += 1) {
    if (isComposite[candidate]) continue;
    count += 1;
    for (let multiple = candidate * candidate; multiple < limit; multiple += candidate) isComposite[multiple] = 1;
  }
  return `${count} primes below ${limit}`;
}
