// The node net peer: net.createServer, socket.write in 'data', the compute step before it.
//
//   node net.mjs PORT [ITERATIONS]

import net from 'node:net';
import { compute } from '../../compute.mjs';

const [port, iterations = 0] = process.argv.slice(2).map(Number);

const server = net.createServer({ noDelay: true }, (socket) => {
  socket.on('data', (data) => {
    if (iterations > 0) compute(iterations);
    socket.write(data);
  });
  socket.on('error', () => socket.destroy());
});
server.listen({ host: '127.0.0.1', port, backlog: 4096 }, () => {
  console.log(`listening on 127.0.0.1:${server.address().port}`);
});
