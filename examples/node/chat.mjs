// Chat: whatever one client says, all of them hear. The first line of each is its name.
//
// Shows: bytes that no request asked for, to one connection (send) and to all (broadcast); strip, with which the
// handler sees lines without their newline, and everything sent becomes a line again; state, which stays with a
// connection.
//
// Try, at the root of the repository, after `cargo xtask build`, and in two more terminals `nc 127.0.0.1 3001`:
//   node examples/node/chat.mjs

import { start } from '../../bindings/node/index.mjs'; // in your own program: from 'reactor'
import { serve, settings } from './example.mjs';

const names = new Map(); // by the id of the connection: 'connectionClose' has no more than that

function hear(line, connection) {
  const said = line.toString().trim(); // telnet ends its lines with \r\n
  if (connection.state === undefined) {
    connection.state = { name: said || connection.remoteAddress };
    names.set(connection.id, connection.state.name);
    server.broadcast(`* ${connection.state.name} is here`);
  } else {
    server.broadcast(`${connection.state.name}: ${said}`);
  }
  // No reply: the broadcast reaches who spoke, too.
}

const { addr, mode, workers } = settings();
const starting = start(addr, mode, hear, { workers, framing: { delimiter: '\n', strip: true }, maxFrameBytes: 4096 });
const server = await starting.catch(() => undefined); // a failed start is for serve to report
server?.on('connection', (connection) => connection.send('* your name?'));
server?.on('connectionClose', (id) => {
  if (names.has(id)) server.broadcast(`* ${names.get(id)} has left`);
  names.delete(id);
});
await serve(starting);
