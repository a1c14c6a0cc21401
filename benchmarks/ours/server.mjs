// The server that is measured in the rows with JavaScript: a program over the npm package.
//
//   node server.mjs PORT function|module [ITERATIONS]
//
// With `marked` for ITERATIONS a request may ask for time, as in server.c; a function handler then says what the
// reactor did meanwhile.

import { start } from '../../bindings/node/index.mjs';
import { busy, isMarked } from './marked.mjs';
import { compute } from '../compute.mjs';

const [port, kind, work = '0'] = process.argv.slice(2);
const marked = work === 'marked';
const iterations = marked ? 0 : Number(work);

const handlers = {
  function: marked ? echoMarked : echo,
  module: new URL(marked ? 'handler-marked.mjs' : 'handler.mjs', import.meta.url),
};
const mode = kind === 'module' ? 'pooled' : 'single';
const options = kind === 'module' ? { workers: 2, workerOptions: { workerData: { iterations } } } : {};
const server = await start(`127.0.0.1:${port}`, mode, handlers[kind], options);
console.log(`listening on 127.0.0.1:${server.address().port}`);

function echo(data) {
  if (iterations > 0) compute(iterations);
  return data;
}

function echoMarked(data) {
  if (isMarked(data)) {
    const before = server.stats();
    busy(data);
    const after = server.stats();
    const accepted = after.connectionsAccepted - before.connectionsAccepted;
    console.log(`busy: accepted=${accepted} read=${after.bytesIn - before.bytesIn}`);
  }
  return data;
}
