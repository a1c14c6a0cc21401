'use strict';
// Owns where the native half comes from: a file inside this package, and nowhere else. Knows nothing of what it does.

const fs = require('node:fs');
const path = require('node:path');

/** The names under which it may lie beside package.json: of this platform first, then as built here. */
function candidates() {
  const libc = process.platform === 'linux' ? (isGlibc() ? '-gnu' : '-musl') : '';
  return [`reactor.${process.platform}-${process.arch}${libc}.node`, 'reactor.node'];
}

function isGlibc() {
  const { excludeNetwork } = process.report;
  // Else the report looks up the names of all peers.
  process.report.excludeNetwork = true;
  const { header } = process.report.getReport();
  process.report.excludeNetwork = excludeNetwork;
  return header.glibcVersionRuntime !== undefined;
}

function find() {
  return candidates()
    .map((name) => path.join(__dirname, '..', name))
    .find((file) => fs.existsSync(file));
}

function load() {
  const file = find();
  if (file === undefined) {
    throw new Error(
      `reactor: the native half for ${process.platform}-${process.arch} is not there (${candidates().join(', ')}); ` +
        'run "npm rebuild reactor" with Rust installed to build it',
    );
  }
  return require(file);
}

module.exports = { candidates, load };
