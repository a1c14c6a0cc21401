// The example counter, with its handler as a module: this file.

import { isMainThread } from 'node:worker_threads';
import { serve } from './host.mjs';

export default function count(data, connection) {
  connection.close();
  return `Received ${data.length} bytes\n`;
}

if (isMainThread) await serve({}, import.meta.url, {}, 'signal');
