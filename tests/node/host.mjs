// What the test programs have in common: their command line, the start, the commands on standard input, the report. As
// tests/c/host.c, and with the same lines; knows nothing of what a program serves.
//
// Every program takes --addr HOST:PORT, --mode single|pooled|multi, --workers N, --reactors N, --max-connections N,
// --nofile N (of whoever starts it), --compute-ms N, --variant NAME, and --module: the handler is the program's own file as a
// module, on worker threads, else its functions on the main thread.

import { on, once } from 'node:events';
import fs from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { start } from '../../bindings/node/index.mjs';

const DRAIN_MS = 10_000;
const TEXTS = ['addr', 'mode', 'variant'];
const NUMBERS = ['workers', 'reactors', 'max-connections', 'nofile', 'compute-ms'];

function commandLine() {
  const texts = [...TEXTS, ...NUMBERS].map((name) => [name, { type: 'string' }]);
  const { values } = parseArgs({ options: { ...Object.fromEntries(texts), module: { type: 'boolean' } } });
  const given = { addr: '127.0.0.1:0', mode: 'single', variant: '', module: false, ...values };
  const number = (name) => (given[name] === undefined ? undefined : Number(given[name]));
  return {
    addr: given.addr,
    mode: given.mode,
    module: given.module,
    variant: given.variant,
    computeMs: number('compute-ms') ?? 0,
    options: { workers: number('workers'), reactors: number('reactors'), maxConnections: number('max-connections') },
  };
}

/** What all threads of the program share: the command line, two gates that are closed at first, and counters. */
export const scene = isMainThread
  ? { ...commandLine(), gates: shared(2), counters: shared(8) }
  : (workerData?.scene ?? workerData);

function shared(length) {
  return new Int32Array(new SharedArrayBuffer(4 * length));
}

/** Prints one line, whole even where threads print at once (write(2) to a pipe is atomic up to PIPE_BUF). */
export function say(line) {
  fs.writeSync(1, `${line}\n`);
}

export function check(holds, what) {
  if (holds) return;
  fs.writeSync(2, `${what}\n${new Error('not as it should be').stack}\n`);
  process.kill(process.pid, 'SIGKILL');
}

/** Adds one to a counter; gives what it was before. */
export function bump(counter) {
  return Atomics.add(scene.counters, counter, 1);
}

export function counted(counter) {
  return Atomics.load(scene.counters, counter);
}

/** Blocks this thread until standard input says `go N`. */
export function passGate(gate) {
  Atomics.wait(scene.gates, gate, 0);
}

/** The same for one request: the thread goes on. */
export async function gateOpened(gate) {
  await Atomics.waitAsync(scene.gates, gate, 0).value;
}

export function openGate(gate) {
  Atomics.store(scene.gates, gate, 1);
  Atomics.notify(scene.gates, gate);
}

export function reasonName(reason) {
  return reason.toUpperCase().replaceAll('-', '_');
}

export function reportLine(report) {
  const { connectionsDrained, connectionsAborted, requestsCompleted, requestsAbandoned } = report;
  const counts = `drained=${connectionsDrained} aborted=${connectionsAborted} completed=${requestsCompleted}`;
  const rest = `unsent=${report.bytesUnsent} running=${report.callbacksRunning}`;
  return `stopped: ${counts} abandoned=${requestsAbandoned} ${rest}`;
}

/** Starts a server as the command line says. handler: { process, open?, close? }; file: the same as a module. */
export async function startScene(handler, file, options) {
  const { workers, ...all } = { ...scene.options, ...options };
  if (scene.module) {
    const own = scene.mode === 'single' ? {} : { workers };
    return start(scene.addr, scene.mode, new URL(file), { ...all, ...own, workerOptions: { workerData: { scene } } });
  }
  const server = await start(scene.addr, scene.mode, handler.process, all);
  if (handler.open) server.on('connection', (connection) => handler.open(connection));
  if (handler.close) server.on('connectionClose', (id, reason) => handler.close({ id }, reason));
  return server;
}

/**
 * Serves until it is told to stop, and reports. `by` says by what: 'signal', or 'input': `go 0` and `go 1` open the
 * gates, `stop MS` and, unless that came, the end of the input (10 s) ask for the stop.
 */
export async function serve(handler, file, options, by = 'input') {
  const lines = by === 'input' ? await inputLines() : undefined;
  const server = await startScene(handler, file, options);
  server.on('handlerError', () => {}); // what fails here fails on purpose; 'connectionClose' tells
  const stopped = lines === undefined ? asked(server) : obey(lines, server); // a signal may follow the next line at once
  say(`listening on ${scene.addr.split(':')[0]}:${server.address().port}`);
  server.once('close', (report) => {
    say('wait OK');
    say(reportLine(report));
  });
  await stopped;
}

/** A signal asks for the stop, however many come. */
function asked(server) {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => server.stop(DRAIN_MS).then(resolve));
  });
}

/** Where a handler is to block this thread another one reads the input, for it is what ends the wait. */
async function inputLines() {
  // Its iterator at once, since it tells nothing of lines and of an end that came before.
  if (scene.variant !== 'gate-open') return createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const thread = new Worker(new URL('input.mjs', import.meta.url), { workerData: scene });
  await once(thread, 'message'); // it has loaded
  return map(on(thread, 'message', { close: ['exit'] }), ([line]) => line);
}

async function* map(all, change) {
  for await (const one of all) yield change(one);
}

async function obey(lines, server) {
  for await (const line of lines) {
    const [verb, number] = line.split(' ');
    check(verb === 'go' || verb === 'stop', `no command: ${line}`);
    if (verb === 'go') openGate(Number(number));
    else server.stop(Number(number));
  }
  await server.stop(DRAIN_MS);
}
