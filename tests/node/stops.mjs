// The ways to ask a server to stop, one a --variant, as in tests/c/stops.c. Each ends by itself, with status 0 if all was
// as it should be. Asked for in a callback of a module, a stop goes by way of the main thread, whose the server is.

import { once } from 'node:events';
import net from 'node:net';
import { BroadcastChannel, isMainThread } from 'node:worker_threads';
import { check, scene, startScene } from './host.mjs';

const DRAIN_MS = 20_000;
const LATER_MS = 3_600_000;

/** How a worker asks the main thread. */
const asks = new BroadcastChannel('stops');
asks.unref();

let own; // the server, on its own thread

/** In the callback that the variant names. */
function askIn(callback) {
  if (scene.variant !== `in-${callback}`) return;
  if (isMainThread) own.stop(DRAIN_MS);
  else asks.postMessage(callback);
}

let other; // stopped in process, where there is one

export function open() {
  askIn('open');
}

export default function process(data) {
  askIn('process');
  if (scene.variant.endsWith('-first')) return new Promise(() => {}); // a promise that nobody keeps
  return other === undefined ? data : other.stop(DRAIN_MS).then(() => data);
}

export function close() {
  askIn('close');
}

let closes = 0;

async function startOne() {
  const server = await startScene({ process, open, close }, import.meta.url, {});
  server.on('connectionClose', () => (closes += 1));
  asks.onmessage = () => server.stop(DRAIN_MS);
  own = server;
  return server;
}

async function connect(server) {
  const { address, port } = server.address();
  const socket = net.connect({ host: address, port, allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
}

/** Sends text, and reads as much as is due. */
async function ask(socket, text, due = text) {
  socket.write(text);
  let got = '';
  while (got.length < due.length) {
    const [chunk] = await once(socket, 'data');
    got += chunk;
  }
  check(got === due, `'${got}' instead of '${due}'`);
}

/** A client that sees the FIN and answers it. */
async function readFinAndClose(socket) {
  socket.resume();
  await once(socket, 'end');
  socket.end();
}

function checkDrained(report, connections) {
  check(report.connectionsDrained === connections && report.connectionsAborted === 0, JSON.stringify(report));
  check(report.requestsAbandoned === 0 && report.bytesUnsent === 0, JSON.stringify(report));
}

async function served() {
  const server = await startOne();
  const client = await connect(server);
  await ask(client, 'ping');
  return { server, client };
}

async function manyTimes(count) {
  const { server, client } = await served();
  const reports = Array.from({ length: count }, () => server.stop(DRAIN_MS));
  await readFinAndClose(client);
  const [first, ...rest] = await Promise.all(reports);
  checkDrained(first, 1);
  check(
    [...rest, await server.stop(DRAIN_MS)].every((report) => report === first),
    'every call gets the same report',
  );
  check(closes === 1, `${closes} closes`);
}

async function inCallback() {
  const server = await startOne();
  const closed = once(server, 'close');
  const client = await connect(server);
  if (scene.variant === 'in-process') await ask(client, 'last');
  if (scene.variant === 'in-close') {
    await ask(client, 'last');
    client.destroy();
  } else await readFinAndClose(client);
  const [report] = await closed;
  if (scene.variant === 'in-close') check(report.connectionsAborted === 0, JSON.stringify(report));
  else checkDrained(report, 1);
  check(closes === 1, `${closes} closes`);
}

async function inSignalHandler() {
  const { server, client } = await served();
  let reports = [];
  globalThis.process.on('SIGUSR2', () => reports.push(server.stop(DRAIN_MS)));
  for (let count = 0; count < 100; count += 1) globalThis.process.kill(globalThis.process.pid, 'SIGUSR2');
  await readFinAndClose(client);
  const [report] = await once(server, 'close');
  reports = await Promise.all(reports);
  check(reports.length > 0 && reports.every((one) => one === report), 'every call gets the same report');
  checkDrained(report, 1);
}

/** At one address again and again, which is of this process alone, so that nobody else's client gets its port. */
async function atOnce() {
  const pid = globalThis.process.pid;
  scene.addr = `127.${1 + ((pid >> 16) % 254)}.${(pid >> 8) % 256}.${1 + (pid % 254)}:0`;
  const first = await startOne();
  const { address, port } = first.address();
  await first.stop(0);
  scene.addr = `${address}:${port}`;
  for (let count = 0; count < 10; count += 1) {
    await (await startOne()).stop(DRAIN_MS);
    await (await startOne()).stop(0);
  }
}

async function withConnections() {
  const server = await startOne();
  const clients = [];
  for (let count = 0; count < 8; count += 1) {
    const client = await connect(server);
    await ask(client, 'ping');
    clients.push(client);
  }
  const report = await server.stop(0);
  check(report.requestsAbandoned === 0 && closes === 8, `${closes} closes, ${JSON.stringify(report)}`);
  clients.forEach((client) => client.destroy());
}

async function byAnotherServer() {
  const first = await startOne();
  other = await startOne();
  const client = await connect(first);
  await ask(client, 'last');
  check(!other.listening, 'the other has stopped');
  const stopped = first.stop(DRAIN_MS);
  await readFinAndClose(client);
  checkDrained(await stopped, 1);
}

/** The earliest deadline wins, in whichever order they are asked for: a wait for the later one would outlast the test. */
async function earliestDeadline(deadlines) {
  const server = await startOne();
  const client = await connect(server);
  client.write('ping');
  client.on('error', () => {}); // it is cut
  while (server.stats().requestsInFlight === 0) await new Promise((resolve) => setImmediate(resolve));
  const [report] = await Promise.all(deadlines.map((ms) => server.stop(ms)));
  check(report.requestsAbandoned === 1 && report.connectionsAborted === 1, JSON.stringify(report));
  client.destroy();
}

const VARIANTS = {
  twice: () => manyTimes(2),
  'eight-threads': () => manyTimes(8), // by one: a server belongs to the thread that started it
  'in-open': inCallback,
  'in-process': inCallback,
  'in-close': inCallback,
  'signal-handler': inSignalHandler,
  'at-once': atOnce,
  'free-with-connections': withConnections,
  'another-reactor': byAnotherServer,
  'later-deadline-first': () => earliestDeadline([LATER_MS, 100]),
  'earlier-deadline-first': () => earliestDeadline([100, LATER_MS]),
};

if (isMainThread) {
  const variant = VARIANTS[scene.variant];
  check(variant !== undefined, `no variant: ${scene.variant}`);
  await variant();
  asks.close();
}
