// A program that uses every name of the API, each in every form. It is type-checked and never run: against this
// package, and against the API as agreed.

import { start, version } from 'reactor';
import type {
  Address,
  CloseReason,
  Connection,
  DrainReport,
  Framing,
  HandlerModule,
  Mode,
  Options,
  Order,
  Process,
  Reply,
  Server,
  Stats,
} from 'reactor';
import { EventEmitter } from 'node:events';

const modes: Mode[] = ['single', 'pooled', 'multi'];
const orders: Order[] = ['serial', 'parallel', 'unordered'];
const reasons: Record<CloseReason, number> = {
  peer: 0,
  local: 1,
  shutdown: 2,
  reset: 3,
  'idle-timeout': 4,
  'frame-timeout': 5,
  'write-timeout': 6,
  'frame-too-large': 7,
  'protocol-error': 8,
  'output-limit': 9,
  'callback-failed': 10,
};
const framings: Framing[] = [
  'raw',
  { delimiter: '\n' },
  { delimiter: new Uint8Array([13, 10]), strip: true },
  { lengthPrefix: 1 },
  { lengthPrefix: 2, endian: 'big' },
  { lengthPrefix: 4, endian: 'little', strip: true },
  { lengthPrefix: 8, strip: false },
  { fixed: 64 },
];
const addresses: Address[] = ['[::1]:0', 'unix:/tmp/a', { port: 0 }, { host: '::1', port: 0 }, { path: '/tmp/a' }];
const replies: Reply[] = [Buffer.from('bytes'), new Uint8Array(1), 'text', null, undefined];

const handlers: Process[] = [
  () => {},
  () => null,
  () => 'text',
  (data) => data,
  (data) => data.subarray(1),
  async (data, connection) => `${connection.id}: ${data.toString('latin1')}`,
  async () => {},
  async () => new Uint8Array(4),
];

function remember(data: Buffer, connection: Connection): Reply {
  const id: bigint = connection.id;
  const peer: string = connection.remoteAddress;
  const seen = typeof connection.state === 'number' ? connection.state : 0;
  connection.state = seen + data.length;
  const sent: boolean = connection.send('text') && connection.send(new Uint8Array(1)) && connection.send(data);
  connection.close();
  return `${id} ${peer} ${sent}`;
}

const whole: HandlerModule = {
  default: remember,
  open(connection) {
    connection.state = new Map<string, string>();
  },
  close(connection, reason) {
    reasons[reason] += connection.remoteAddress.length;
  },
};
const least: HandlerModule = { default: (data: Buffer) => data };

const options: Required<Options> = {
  framing: framings[0]!,
  order: orders[0]!,
  reactors: 2,
  workers: 2,
  workerOptions: {
    env: process.env,
    execArgv: ['--no-warnings'],
    resourceLimits: { maxOldGenerationSizeMb: 64 },
    workerData: { any: 'thing' },
  },
  maxConnections: 1_000,
  maxInFlight: 64,
  maxFrameBytes: 1 << 20,
  outputWaterMarks: { low: 1 << 15, high: 1 << 16 },
  outputLimitBytes: 1 << 22,
  memoryLimitBytes: 1 << 28,
  frameTimeoutMs: 0,
  writeTimeoutMs: 0,
  idleTimeoutMs: 0,
  backlog: 128,
  noDelay: true,
  keepAliveSeconds: 60,
  reusePort: false,
  unixMode: 0o600,
  signal: AbortSignal.timeout(1_000),
};

function watch(server: Server): Server {
  const emitter: EventEmitter = server;
  emitter.once('close', () => {});
  return server
    .on('connection', (connection: Connection) => remember(Buffer.alloc(0), connection))
    .on('close', (report: DrainReport) => report.bytesUnsent)
    .on('connectionClose', (id: bigint, reason: CloseReason) => server.send(id, reason))
    .on('handlerError', (error: Error, connectionId: bigint) => [error.message, connectionId])
    .on('workerExit', (exitCode: number) => exitCode)
    .on('error', (error: Error) => error.stack)
    .ref()
    .unref();
}

function sumOfStats(stats: Stats): number {
  const { reactors, connectionsOpen, connectionsAccepted, connectionsRefused, connectionsTimedOut } = stats;
  const { connectionsReset, acceptErrors, requests, replies, callbackFailures, requestsInFlight } = stats;
  const { bytesIn, bytesOut, memoryBytes, readsPaused, queueWaitUsP99, processUsP99, loopBusyUsMax } = stats;
  const connections = reactors + connectionsOpen + connectionsAccepted + connectionsRefused + connectionsTimedOut;
  const calls = connectionsReset + acceptErrors + requests + replies + callbackFailures + requestsInFlight;
  const times = queueWaitUsP99 + processUsP99 + loopBusyUsMax;
  return connections + calls + bytesIn + bytesOut + memoryBytes + readsPaused + times;
}

function sumOfReport(report: DrainReport): number {
  const { connectionsDrained, connectionsAborted, requestsCompleted, requestsAbandoned } = report;
  return connectionsDrained + connectionsAborted + requestsCompleted + requestsAbandoned + report.callbacksRunning;
}

async function run(): Promise<number> {
  const plain: Server = watch(await start('127.0.0.1:0', 'single', (data) => data));
  const module: Server = await start(addresses[1]!, modes[1]!, './handler.mjs', options);
  const url: Server = await start({ port: 0 }, 'multi', new URL('./handler.mjs', 'file:///tmp/'), {});
  const typed: Server = await start({ host: '::', port: 0 }, 'pooled', handlers[0]!, { framing: { delimiter: '\n' } });

  const where = plain.address();
  const port: number = typeof where === 'string' ? where.length : where.port;
  const family: 'IPv4' | 'IPv6' = typeof where === 'string' ? 'IPv4' : where.family;
  const host: string = typeof where === 'string' ? where : where.address + family;

  const listening: boolean = module.listening;
  const count: number = module.broadcast('all') + module.broadcast(new Uint8Array(1));
  const done: boolean = url.send(1n, 'one') || url.send(1n, new Uint8Array(1)) || url.closeConnection(1n);
  const stats = sumOfStats(typed.stats()) + sumOfStats(typed.stats(0));

  const report = sumOfReport(await plain.stop()) + sumOfReport(await module.stop(0));
  await url[Symbol.asyncDispose]();
  {
    await using disposed = typed;
    disposed.unref();
  }
  return port + host.length + Number(listening) + count + Number(done) + stats + report + version.length;
}

void [run, replies, whole, least];
