#!/usr/bin/env node
// The cluster client: connections from several processes at once, each checking that it gets back exactly what it sent.
// `--help` says the rest. Owns the processes and the summary; needs Node 20 or later, and nothing else.

import cluster from 'node:cluster';
import { once } from 'node:events';
import { parseOptions, usage, UsageError } from './tcp-client/options.mjs';
import { runWorker } from './tcp-client/worker.mjs';

const EXIT_INCOMPLETE = 1;
const EXIT_USAGE = 2;
// After --timeout-s, which begins when it has started, a worker gives up its connections and reports; one that
// cannot even do that is ended. The grace covers its start on a busy machine.
const WORKER_GRACE_MS = 30_000;

const options = readOptions();
if (options.help) {
  process.stdout.write(usage);
} else if (cluster.isPrimary) {
  process.exitCode = await runPrimary(options);
} else {
  const report = await runWorker(options);
  process.send(report, () => process.disconnect());
}

function readOptions() {
  try {
    return parseOptions(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) {
      throw error;
    }
    process.stderr.write(`${error.message}\n--help lists the options\n`);
    process.exit(EXIT_USAGE);
  }
}

// The summary is the last line: a worker's output is written before its report is sent.
async function runPrimary({ processes, connections, messages, timeoutMs }) {
  const reports = await Promise.all(Array.from({ length: processes }, () => startWorker(connections, timeoutMs)));
  const total = (name) => reports.reduce((sum, report) => sum + report[name], 0);
  const startedMs = Math.min(...reports.map((report) => report.startedMs));
  const endedMs = Math.max(...reports.map((report) => report.endedMs));
  const seconds = Number.isFinite(endedMs - startedMs) ? (endedMs - startedMs) / 1000 : 0;

  const right = total('messages');
  const failed = total('mismatches') + total('errors');
  process.stdout.on('error', () => {}); // whoever read our output has gone (`| head`); the exit code still tells
  process.stdout.write(
    `summary: connections=${processes * connections} messages=${right} bytes=${total('bytes')} ` +
      `mismatches=${total('mismatches')} errors=${total('errors')} seconds=${seconds.toFixed(3)}\n`,
  );
  return failed === 0 && right === processes * connections * messages ? 0 : EXIT_INCOMPLETE;
}

/** @returns {Promise<import('./tcp-client/worker.mjs').WorkerReport>} */
async function startWorker(connections, timeoutMs) {
  const worker = cluster.fork();
  const overdue = setTimeout(() => worker.process.kill('SIGKILL'), timeoutMs + WORKER_GRACE_MS);
  let report;
  worker.on('message', (message) => { report = message; });
  try {
    // Both: an exit may be seen before the last message is read.
    const [[code, signal]] = await Promise.all([once(worker, 'exit'), once(worker, 'disconnect')]);
    if (report === undefined) {
      throw new Error(`it ended without a report, ${signal ?? `exit code ${code}`}`);
    }
    return report;
  } catch (error) {
    process.stderr.write(`[process ${worker.process.pid}] all its connections: ${error.message}\n`);
    // Times that neither the earliest nor the latest can be.
    return { messages: 0, bytes: 0, mismatches: 0, errors: connections, startedMs: Infinity, endedMs: -Infinity };
  } finally {
    clearTimeout(overdue);
  }
}
