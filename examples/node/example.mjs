// What the examples share: their command line, and the life of a server from its start to its report. What differs, and
// what is worth reading first, stands in the examples themselves. Not a part of the package.

import { parseArgs } from 'node:util';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;
const DRAIN_TIMEOUT_MS = 10_000;
const MODES = ['single', 'pooled', 'multi'];

// Listened for from the first moment, so that a signal that comes while the server starts stops it right after; and to
// the last, so that a second one does not end the program in the middle of its drain.
const stopAsked = new Promise((resolve) => {
  process.on('SIGTERM', resolve).on('SIGINT', resolve);
});

/**
 * What the command line says, else the defaults. `more` are the options of one example alone: a boolean is a switch, a
 * number takes a number. What makes no sense ends the program with a message.
 */
export function settings({ mode = 'single', ...more } = {}) {
  const options = { addr: '127.0.0.1:3001', mode, workers: undefined, ...more };
  const isSwitch = (name) => typeof options[name] === 'boolean';
  const known = Object.keys(options).map((name) => [option(name), { type: isSwitch(name) ? 'boolean' : 'string' }]);
  let given;
  try {
    given = parseArgs({ options: Object.fromEntries([...known, ['help', { type: 'boolean' }]]) }).values;
  } catch (error) {
    refuse(error.message);
  }
  if (given.help) {
    console.log(usage(options));
    process.exit();
  }
  for (const name of Object.keys(options)) {
    const value = given[option(name)];
    if (value === undefined) continue;
    options[name] = isSwitch(name) || name === 'addr' || name === 'mode' ? value : number(option(name), value);
  }
  if (!MODES.includes(options.mode)) refuse(`--mode ${options.mode}: not ${MODES.join(', ')}`);
  return options;
}

/** computeMs is --compute-ms. */
function option(name) {
  return name.replace(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`);
}

function number(name, text) {
  if (!/^\d{1,9}$/.test(text)) refuse(`--${name} ${text}: not a whole number below a thousand million`);
  return Number(text);
}

function usage(defaults) {
  const words = Object.entries(defaults).map(([name, value]) => {
    const number = typeof value === 'boolean' ? '' : ' N';
    const takes = { addr: ' HOST:PORT', mode: ' single|pooled|multi' }[name] ?? number;
    const byDefault = value === undefined || typeof value === 'boolean' ? '' : ` (${value})`;
    return `  --${option(name)}${takes}${byDefault}`;
  });
  return ['options, with their defaults:', ...words].join('\n');
}

function refuse(why) {
  console.error(`${why}\n--help lists the options`);
  process.exit(EXIT_USAGE);
}

/** Takes what start gave: says where the server listens, waits for a signal, stops it, reports. */
export async function serve(starting) {
  let server;
  try {
    server = await starting;
  } catch (error) {
    console.error(`start: ${error.message}`);
    process.exit(EXIT_FAILURE);
  }
  console.log(`listening on ${text(server.address())}`);
  await stopAsked;
  const report = await server.stop(DRAIN_TIMEOUT_MS);
  console.log(
    `stopped: drained=${report.connectionsDrained} aborted=${report.connectionsAborted} ` +
      `completed=${report.requestsCompleted} abandoned=${report.requestsAbandoned} ` +
      `unsent=${report.bytesUnsent} running=${report.callbacksRunning}`,
  );
}

/** An address as start takes it. */
function text(address) {
  if (typeof address === 'string') return `unix:${address}`;
  return address.family === 'IPv6' ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}
