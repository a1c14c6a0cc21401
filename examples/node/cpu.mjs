// CPU: counts the primes below the number in each line, on worker threads, and prints each second what that takes.
//
// Shows: a module as handler, cpu-handler.mjs. Its requests go straight from the native reactor to a worker and never
// pass through this thread, which stays idle however busy all cores are. In serial order, the default, a connection has
// one worker for life: to keep N workers busy takes N connections.
//
// Try, at the root of the repository, after `cargo xtask build`:
//   node examples/node/cpu.mjs & echo 1000000 | nc -N 127.0.0.1 3001
//   for i in 1 2; do yes 20000 | head -n 50000 | nc -N 127.0.0.1 3001 >/dev/null & done

import { start } from '../../bindings/node/index.mjs'; // in your own program: from 'reactor'
import { serve, settings } from './example.mjs';

const TELL_MS = 1_000;

const { addr, mode, workers } = settings({ mode: 'pooled' });
const handler = new URL('cpu-handler.mjs', import.meta.url);
const starting = start(addr, mode, handler, { workers, framing: { delimiter: '\n', strip: true } });
starting.then(tell, () => {}); // a failed start is for serve to report
await serve(starting);

function tell(server) {
  let before = measure(server);
  const timer = setInterval(() => {
    if (!server.listening) return;
    const now = measure(server);
    const seconds = (now.ms - before.ms) / 1_000;
    const perSecond = Math.round((now.replies - before.replies) / seconds);
    const cores = ((now.cpuUs - before.cpuUs) / 1e6 / seconds).toFixed(2);
    const idle = Math.round(100 * (1 - performance.eventLoopUtilization(now.loop, before.loop).utilization));
    if (perSecond > 0) console.log(`${perSecond} requests/s on ${cores} cores; this thread was idle for ${idle} %`);
    before = now;
  }, TELL_MS);
  server.once('close', () => clearInterval(timer));
}

function measure(server) {
  const { user, system } = process.cpuUsage(); // of all threads together, in microseconds
  const loop = performance.eventLoopUtilization();
  return { ms: performance.now(), replies: server.stats().replies, cpuUs: user + system, loop };
}
