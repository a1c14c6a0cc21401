'use strict';
// Owns where the native half comes from: a file inside this package, and nowhere else. Knows nothing of what it does.

const fs = require('node:fs');
const path = require('node:path');

/** The names under which it may lie beside package.json: of this platform first, then as built here. */
function candidates() {
  const libc = process.platform === 'linux' ? (isMusl() ? '-musl' : '-gnu') : '';
  return [`reactor.${process.platform}-${process.arch}${libc}.node`, 'reactor.node'];
}

/** What the program of Node itself is linked with: its interpreter stands near its beginning (elf(5), PT_INTERP). */
function isMusl() {
  // Not process.report, which waits for all worker threads of the process, however long they are busy.
  const head = Buffer.alloc(4096);
  const file = fs.openSync(process.execPath, 'r');
  try {
    fs.readSync(file, head, 0, head.length, 0);
  } finally {
    fs.closeSync(file);
  }
  return head.includes('/ld-musl-');
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
