// The example http_mock, with its handler as a module: this file.

import { isMainThread } from 'node:worker_threads';
import { serve } from './host.mjs';

const HEAD = ['HTTP/1.1 200 OK', 'Content-Type: text/plain', 'Content-Length: 6', 'Connection: keep-alive', '', ''];
const response = Buffer.from(`${HEAD.join('\r\n')}hello\n`);

export default () => response;

if (isMainThread) await serve({}, import.meta.url, { framing: { delimiter: '\r\n\r\n' } }, 'signal');
