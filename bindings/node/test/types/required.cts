// The same for a CommonJS program: require gives the same names.

import reactor = require('reactor');

async function run(handler: reactor.Process): Promise<reactor.DrainReport> {
  const server: reactor.Server = await reactor.start('127.0.0.1:0', 'single', handler);
  console.log(reactor.version, server.address());
  return server.stop();
}

void run;
