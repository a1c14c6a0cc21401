// Discard: takes each connection, drops it, logs who came.
//
// Shows: the event 'connection', which comes before a connection's first request.
//
// Try, at the root of the repository, after `cargo xtask build`:
//   node examples/node/discard.mjs & nc 127.0.0.1 3001 </dev/null

import { start } from '../../bindings/node/index.mjs'; // in your own program: from 'reactor'
import { serve, settings } from './example.mjs';

// Bytes may have arrived together with their connection: they are answered with nothing.
const ignore = () => {};

const { addr, mode, workers } = settings();
const server = start(addr, mode, ignore, { workers });
// A failed start is for serve to report.
server.then((running) => running.on('connection', logAndDrop), () => {});
await serve(server);

function logAndDrop(connection) {
  console.log(`dropped ${connection.remoteAddress}`); // "HOST:PORT"; empty for a client of a unix socket
  connection.close();
}
