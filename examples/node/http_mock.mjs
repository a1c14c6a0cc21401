// HTTP mock: answers each request head with the same 200, and keeps the connection. Enough for curl, ab -k and wrk; not
// an HTTP server, for it looks at nothing that it is sent, and a request with a body is not what it expects.
//
// Shows: delimiter framing. The package finds where each request ends, over as many reads as it takes; the handler has
// one whole request at a time, and a client that sends many without waiting has its answers in the same order.
//
// Try, at the root of the repository, after `cargo xtask build`:
//   node examples/node/http_mock.mjs & curl -i http://127.0.0.1:3001/

import { start } from '../../bindings/node/index.mjs'; // in your own program: from 'reactor'
import { serve, settings } from './example.mjs';

const response = Buffer.from(
  'HTTP/1.1 200 OK\r\n' +
    'Content-Type: text/plain\r\n' +
    'Content-Length: 6\r\n' +
    'Connection: keep-alive\r\n' + // HTTP/1.0 clients, ab among them, must be told
    '\r\n' +
    'hello\n',
);

const { addr, mode, workers } = settings();
await serve(start(addr, mode, () => response, { workers, framing: { delimiter: '\r\n\r\n' } }));
