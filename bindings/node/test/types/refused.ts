// What the compiler must refuse. Type-checked and never run.

import { start } from 'reactor';
import type { Framing, HandlerModule, Process, Server } from 'reactor';

// @ts-expect-error: there is no such mode
void start('127.0.0.1:0', 'threads', (data) => data);
// @ts-expect-error: a handler has to be given
void start('127.0.0.1:0', 'single');
// @ts-expect-error: an address is no number
void start(3001, 'single', (data) => data);
// @ts-expect-error: there is no such option
void start('127.0.0.1:0', 'single', (data) => data, { timeout: 1 });
// @ts-expect-error: an option's type is checked
void start('127.0.0.1:0', 'single', (data) => data, { maxInFlight: '64' });

// @ts-expect-error: a number is no reply
const number: Process = () => 7;
// @ts-expect-error: a prefix has 1, 2, 4 or 8 bytes
const framing: Framing = { lengthPrefix: 3 };
// @ts-expect-error: a module has a default export
const module: HandlerModule = { open() {} };

function misuse(server: Server): void {
  // @ts-expect-error: an id is a bigint
  server.send(1, 'text');
  // @ts-expect-error: text or bytes
  server.broadcast(7);
  // @ts-expect-error: there is no such event
  server.on('request', () => {});
  // @ts-expect-error: it is not for the user to change
  server.listening = false;
}

void [number, framing, module, misuse];
