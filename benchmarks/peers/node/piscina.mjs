// The piscina peer: node net, with the compute step in a pool of two worker threads, replies in order.
//
//   node piscina.mjs PORT [ITERATIONS]

import net from 'node:net';
import { Piscina } from 'piscina';

const [port, iterations = 0] = process.argv.slice(2).map(Number);

const pool = new Piscina({
  filename: new URL('piscina-worker.mjs', import.meta.url).href,
  workerData: { iterations },
  minThreads: 2,
  maxThreads: 2,
  // A worker has its next tasks at hand when it has done one; measured here to be the best of 1, 2, 4, 8.
  concurrentTasksPerWorker: 8,
  recordTiming: false,
});

const server = net.createServer({ noDelay: true }, (socket) => {
  const replies = []; // in the order of the requests, undefined until they are there
  let first = 0; // the number of the request that replies[0] is for
  let next = 0;
  socket.on('data', async (data) => {
    const number = next;
    next += 1;
    replies.push(undefined);
    // A copy of its own: else the whole slab that the chunk is a part of would be cloned.
    const reply = await pool.run(new Uint8Array(data));
    replies[number - first] = reply;
    while (replies.length > 0 && replies[0] !== undefined) {
      socket.write(replies.shift());
      first += 1;
    }
  });
  socket.on('error', () => socket.destroy());
});
server.listen({ host: '127.0.0.1', port, backlog: 4096 }, () => {
  console.log(`listening on 127.0.0.1:${server.address().port}`);
});
