// The cluster peer: node net in two processes.
//
//   node cluster.mjs PORT [ITERATIONS]

import cluster from 'node:cluster';

const PROCESSES = 2;

if (cluster.isPrimary) {
  const workers = Array.from({ length: PROCESSES }, () => cluster.fork());
  let listening = 0;
  cluster.on('listening', (_, address) => {
    listening += 1;
    if (listening === PROCESSES) {
      console.log(`processes ${[process.pid, ...workers.map((worker) => worker.process.pid)].join(',')}`);
      console.log(`serving 127.0.0.1:${address.port}`);
    }
  });
  process.on('SIGTERM', () => process.exit());
} else {
  await import('./net.mjs');
}
