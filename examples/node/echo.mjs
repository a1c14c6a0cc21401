// Echo: gives back what it is sent, after a compute step that takes --compute-ms.
//
// Shows: an async handler. While one request awaits its timer, a query or a fetch, the thread serves other connections,
// so that a thousand connections wait 100 ms together and not one after the other. With --module the handler is a
// module instead, echo-handler.mjs, which --workers threads run in parallel; workerData tells them what to do.
//
// Try, at the root of the repository, after `cargo xtask build`:
//   node examples/node/echo.mjs & printf 'a\nb\n' | nc -N 127.0.0.1 3001

import { setTimeout as sleep } from 'node:timers/promises';
import { start } from '../../bindings/node/index.mjs'; // in your own program: from 'reactor'
import { serve, settings } from './example.mjs';

const { addr, mode, workers, computeMs, module } = settings({ mode: 'pooled', computeMs: 100, module: false });

async function echo(data) {
  if (computeMs > 0) await sleep(computeMs); // stands in for work that others do: a query, a request
  return data;
}

const handler = module ? new URL('echo-handler.mjs', import.meta.url) : echo;
await serve(start(addr, mode, handler, { workers, workerOptions: { workerData: { computeMs } } }));
