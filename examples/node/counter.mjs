// Counter: reads what a client sends, answers `Received N bytes` and closes.
//
// Shows: raw framing, the default, where a request is whatever has arrived; connection.close in a handler, which closes
// after this reply. A client that sends more than one read takes is told about the first part only: where a message
// must come whole, the server needs a framing (http_mock.mjs).
//
// Try, at the root of the repository, after `cargo xtask build`:
//   node examples/node/counter.mjs & printf 'a\nb\n' | nc -N 127.0.0.1 3001

import { start } from '../../bindings/node/index.mjs'; // in your own program: from 'reactor'
import { serve, settings } from './example.mjs';

function count(data, connection) {
  connection.close();
  return `Received ${data.length} bytes\n`;
}

const { addr, mode, workers } = settings();
await serve(start(addr, mode, count, { workers }));
