// As examples/c/chat.c: what one client says, a line at a time, all of them hear; so do they who comes and who goes. On
// the main thread: the guests are one list. (The example chat.mjs has its own words.)

import { serve } from './host.mjs';

const guests = new Map(); // by id
let guestsSoFar = 0;

/** To those that were greeted, and to no other: a connection may be open before its event has come. */
function tellAll(number, what) {
  for (const { connection } of guests.values()) connection.send(`guest ${number}${what}`);
}

function open(connection) {
  const number = ++guestsSoFar;
  guests.set(connection.id, { number, connection });
  connection.send(`welcome, you are guest ${number}`);
  tellAll(number, ' came');
}

function process(line, connection) {
  tellAll(guests.get(connection.id).number, `: ${line}`);
}

function close({ id }, reason) {
  const { number } = guests.get(id);
  guests.delete(id);
  if (reason !== 'shutdown') tellAll(number, ' left');
}

const options = { framing: { delimiter: '\n', strip: true }, maxFrameBytes: 1024 };
await serve({ process, open, close }, import.meta.url, options, 'signal');
