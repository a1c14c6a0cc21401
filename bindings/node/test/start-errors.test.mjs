// What start refuses, and how it says so.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { handler, LIMIT, MODES, serve, start } from './fixtures/scene.mjs';

const LOCAL = '127.0.0.1:0';
const echo = (data) => data;
const module = handler('echo.mjs');

/** [what is wrong, arguments of start, what the message must say]: TypeErrors. */
const WRONG_TYPES = [
  ['address', [5, 'single', echo], /^address must be a string, \{ host, port \} or \{ path \}, and is the number 5$/],
  ['address', [undefined, 'single', echo], /^address must be .*, and is undefined$/],
  ['address', [null, 'single', echo], /^address must be .*, and is null$/],
  ['address.port', [{}, 'single', echo], /^address.port must be a number, and is undefined$/],
  ['address.port', [{ port: '80' }, 'single', echo], /^address.port must be a number, and is the string "80"$/],
  ['address.host', [{ host: 5, port: 0 }, 'single', echo], /^address.host must be a string, and is the number 5$/],
  ['address.path', [{ path: 5 }, 'single', echo], /^address.path must be a string, and is the number 5$/],
  ['mode', [LOCAL, 'fast', echo], /^mode must be one of 'single', 'pooled', 'multi', and is the string "fast"$/],
  ['mode', [LOCAL, undefined, echo], /^mode must be one of .*, and is undefined$/],
  ['mode', [LOCAL, 0, echo], /^mode must be one of .*, and is the number 0$/],
  [
    'process',
    [LOCAL, 'single'],
    /^process must be a function, or the path or file: URL of a module, and is undefined$/,
  ],
  ['process', [LOCAL, 'single', {}], /^process must be .*, and is an instance of Object$/],
  [
    'process',
    [LOCAL, 'single', new URL('http://localhost/a.mjs')],
    /^process must be a file: URL, and is the string "http:/,
  ],
  ['options', [LOCAL, 'single', echo, 5], /^options must be an object, and is the number 5$/],
  ['options', [LOCAL, 'single', echo, null], /^options must be an object, and is null$/],
  [
    'unknown option',
    [LOCAL, 'single', echo, { maxInflight: 5 }],
    /^options\.maxInflight is not an option; there are .*maxInFlight/,
  ],
  ...[
    'maxConnections',
    'maxInFlight',
    'maxFrameBytes',
    'outputLimitBytes',
    'memoryLimitBytes',
    'frameTimeoutMs',
    'writeTimeoutMs',
    'idleTimeoutMs',
    'backlog',
    'keepAliveSeconds',
    'unixMode',
    'reactors',
  ].map((name) => [
    name,
    [LOCAL, 'multi', echo, { [name]: '5' }],
    new RegExp(`^options\\.${name} must be a number, and is the string "5"$`),
  ]),
  [
    'workers',
    [LOCAL, 'pooled', module, { workers: '2' }],
    /^options\.workers must be a number, and is the string "2"$/,
  ],
  ...['noDelay', 'reusePort'].map((name) => [
    name,
    [LOCAL, 'single', echo, { [name]: 1 }],
    new RegExp(`^options\\.${name} must be a boolean, and is the number 1$`),
  ]),
  [
    'order',
    [LOCAL, 'single', echo, { order: 'any' }],
    /^options\.order must be one of 'serial', 'parallel', 'unordered', and is/,
  ],
  [
    'signal',
    [LOCAL, 'single', echo, { signal: {} }],
    /^options\.signal must be an AbortSignal, and is an instance of Object$/,
  ],
  [
    'framing',
    [LOCAL, 'single', echo, { framing: 'lines' }],
    /^options\.framing must be 'raw', or an object .*, and is the string "lines"$/,
  ],
  ['framing', [LOCAL, 'single', echo, { framing: null }], /^options\.framing must be .*, and is null$/],
  ['framing', [LOCAL, 'single', echo, { framing: {} }], /^options\.framing must be .*, and is an instance of Object$/],
  [
    'delimiter',
    [LOCAL, 'single', echo, { framing: { delimiter: 5 } }],
    /^options\.framing\.delimiter must be a string or a Uint8Array/,
  ],
  [
    'strip',
    [LOCAL, 'single', echo, { framing: { delimiter: 'x', strip: 1 } }],
    /^options\.framing\.strip must be a boolean/,
  ],
  [
    'lengthPrefix',
    [LOCAL, 'single', echo, { framing: { lengthPrefix: '4' } }],
    /^options\.framing\.lengthPrefix must be a number/,
  ],
  [
    'endian',
    [LOCAL, 'single', echo, { framing: { lengthPrefix: 4, endian: 'middle' } }],
    /^options\.framing\.endian must be one of/,
  ],
  [
    'lengthPrefix',
    [LOCAL, 'single', echo, { framing: { lengthPrefix: 4, fixed: 8 } }],
    /^options\.framing\.lengthPrefix and options\.framing\.fixed exclude each other/,
  ],
  [
    'delimiter',
    [LOCAL, 'single', echo, { framing: { delimiter: '\n', lengthPrefix: 4, fixed: 8 } }],
    /^options\.framing\.delimiter and options\.framing\.lengthPrefix and options\.framing\.fixed exclude each other/,
  ],
  ['fixed', [LOCAL, 'single', echo, { framing: { fixed: '4' } }], /^options\.framing\.fixed must be a number/],
  [
    'outputWaterMarks',
    [LOCAL, 'single', echo, { outputWaterMarks: 5 }],
    /^options\.outputWaterMarks must be \{ low, high \}/,
  ],
  [
    'outputWaterMarks.high',
    [LOCAL, 'single', echo, { outputWaterMarks: { low: 5 } }],
    /^options\.outputWaterMarks\.high must be a number/,
  ],
  [
    'workerOptions',
    [LOCAL, 'pooled', module, { workerOptions: 5 }],
    /^options\.workerOptions must be an object, and is the number 5$/,
  ],
];

/** [arguments of start, the option at fault, as the message must name it]: ERR_REACTOR_INVALID_ARGUMENT. */
const WRONG_VALUES = [
  [[{ port: 65_536 }, 'single', echo], 'address.port'],
  [[LOCAL, 'single', echo, { maxInFlight: 0 }], 'maxInFlight'],
  [[LOCAL, 'single', echo, { maxInFlight: 1.5 }], 'options.maxInFlight'],
  [[LOCAL, 'single', echo, { maxConnections: 0 }], 'maxConnections'],
  [[LOCAL, 'single', echo, { maxFrameBytes: 0 }], 'maxFrameBytes'],
  [[LOCAL, 'single', echo, { maxFrameBytes: 2 ** 31 - 31, memoryLimitBytes: 2 ** 40 }], 'options.maxFrameBytes'],
  [[LOCAL, 'single', echo, { outputWaterMarks: { low: 5, high: 2 } }], 'outputWaterMarks'],
  [[LOCAL, 'single', echo, { memoryLimitBytes: 1 }], 'memoryLimitBytes'],
  [[LOCAL, 'single', echo, { backlog: 0 }], 'backlog'],
  [[LOCAL, 'single', echo, { keepAliveSeconds: 32_768 }], 'keepAliveSeconds'],
  [[LOCAL, 'single', echo, { unixMode: 0o1000 }], 'unixMode'],
  [[LOCAL, 'single', echo, { idleTimeoutMs: -1 }], 'options.idleTimeoutMs'],
  [[LOCAL, 'single', echo, { frameTimeoutMs: 2 ** 32 }], 'options.frameTimeoutMs'],
  [[LOCAL, 'single', echo, { framing: { lengthPrefix: 3 } }], 'framing.lengthPrefix'],
  [[LOCAL, 'single', echo, { framing: { fixed: 0 } }], 'framing.fixed'],
  [[LOCAL, 'single', echo, { framing: { delimiter: '' } }], 'framing.delimiter'],
  [[LOCAL, 'single', echo, { framing: { delimiter: 'x'.repeat(17) } }], 'framing.delimiter'],
  [[LOCAL, 'single', echo, { reactors: 2 }], 'reactors'],
  [[LOCAL, 'pooled', echo, { reactors: 2 }], 'reactors'],
  [[LOCAL, 'multi', echo, { reactors: 0 }], 'reactors'],
  [[LOCAL, 'pooled', echo, { workers: 2 }], 'options.workers'],
  [[LOCAL, 'single', module, { workers: 2 }], 'options.workers'],
  [[LOCAL, 'pooled', module, { workers: 0 }], 'options.workers'],
];

test('a TypeError says what was expected and what came, for every argument', LIMIT, async () => {
  for (const [what, args, message] of WRONG_TYPES) {
    await assert.rejects(start(...args), { name: 'TypeError', message }, what);
  }
});

test('ERR_REACTOR_INVALID_ARGUMENT names the option at fault', LIMIT, async () => {
  for (const [args, option] of WRONG_VALUES) {
    await assert.rejects(start(...args), (error) => {
      assert.equal(error.code, 'ERR_REACTOR_INVALID_ARGUMENT', `${option}: ${error}`);
      assert.ok(error.message.includes(option), `${error.message} names ${option}`);
      return true;
    });
  }
});

test('the largest frame that is taken is as documented', LIMIT, async (t) => {
  await serve(t, 'single', echo, { maxFrameBytes: 2 ** 31 - 32, memoryLimitBytes: 2 ** 40 });
});

test('ERR_REACTOR_INVALID_ADDRESS says what an address is', LIMIT, async (t) => {
  for (const address of [
    '',
    'garbage',
    '127.0.0.1',
    '127.0.0.1:x',
    '127.0.0.1:65536',
    'a\0b:1',
    'unix:',
    `unix:/${'x'.repeat(200)}`,
  ]) {
    await assert.rejects(start(address, 'single', echo), { code: 'ERR_REACTOR_INVALID_ADDRESS' }, address);
  }
});

for (const mode of MODES) {
  for (const process of [echo, module]) {
    const title = `${mode}, ${process === echo ? 'function' : 'module'}`;
    test(`errors of listening are Node's own, with syscall, address and port (${title})`, LIMIT, async (t) => {
      const other = net.createServer().listen(0, '127.0.0.1');
      await new Promise((resolve) => other.once('listening', resolve));
      t.after(() => other.close());
      const { port } = other.address();
      const inUse = {
        code: 'EADDRINUSE',
        syscall: 'listen',
        address: '127.0.0.1',
        port,
        errno: -98,
        message: /^listen EADDRINUSE/,
      };
      await assert.rejects(start(`127.0.0.1:${port}`, mode, process), inUse);
      await assert.rejects(start({ host: '127.0.0.1', port }, mode, process), inUse);
      // TEST-NET-3 of RFC 5737: no machine's own address.
      const elsewhere = {
        code: 'EADDRNOTAVAIL',
        syscall: 'listen',
        address: '203.0.113.1',
        port: 0,
        message: /EADDRNOTAVAIL/,
      };
      await assert.rejects(start('203.0.113.1:0', mode, process), elsewhere);
    });
  }

  test(`a socket path that is in use is refused with its path (${mode})`, LIMIT, async (t) => {
    const folder = fs.mkdtempSync(path.join(tmpdir(), 'reactor-'));
    t.after(() => fs.rmSync(folder, { recursive: true }));
    const at = path.join(folder, 'socket');
    await serve(t, mode, echo, {}, { path: at });
    await assert.rejects(start({ path: at }, mode, echo), (error) => {
      assert.deepEqual([error.code, error.syscall, error.address, error.port], ['EADDRINUSE', 'listen', at, undefined]);
      return true;
    });
  });
}

const isRoot = process.getuid?.() === 0;
test('EACCES where the port is not ours to take', { ...LIMIT, skip: isRoot && 'root may take any port' }, async () => {
  await assert.rejects(start('127.0.0.1:1', 'single', echo), {
    code: 'EACCES',
    syscall: 'listen',
    address: '127.0.0.1',
    port: 1,
  });
});
