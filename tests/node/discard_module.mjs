// The example discard, with its handler as a module: this file.

import { isMainThread } from 'node:worker_threads';
import { say, serve } from './host.mjs';

export default () => {};

export function open(connection) {
  say(`dropped ${connection.remoteAddress}`);
  connection.close();
}

if (isMainThread) await serve({}, import.meta.url, {}, 'signal');
