'use strict';
// Run by npm when the package is installed. Owns how its native half comes to be: there is one for this platform inside
// the package, or cargo builds it from sources inside the package. No other npm package and no download of a binary is
// ever tried.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { candidates } = require('../lib/native.js');

const CRATE = 'reactor-node';
const PACKAGE = path.join(__dirname, '..');
const REPOSITORY = path.join(PACKAGE, '..', '..');
const PACKED = path.join(PACKAGE, 'native');
const BUILT = path.join(PACKAGE, 'reactor.node');

function main() {
  const prebuilt = candidates().filter((name) => name !== path.basename(BUILT));
  const found = prebuilt.find((name) => fs.existsSync(path.join(PACKAGE, name)));
  if (found !== undefined) {
    console.log(`reactor: ${found} is in the package: nothing to build`);
    return;
  }
  if (isRepository()) build(REPOSITORY, []);
  else if (fs.existsSync(path.join(PACKED, 'Cargo.toml'))) {
    const target = path.join(PACKED, 'target');
    build(PACKED, ['--locked', '--target-dir', target]);
    // Some hundred megabytes that nobody needs again.
    fs.rmSync(target, { recursive: true, force: true });
  } else {
    fail(`there is neither ${prebuilt[0]} nor source code in ${PACKAGE}: the package was not packed by "npm pack"`);
  }
}

/** A checkout: this crate is a member of the workspace two folders up. */
function isRepository() {
  const manifest = path.join(REPOSITORY, 'Cargo.toml');
  if (!fs.existsSync(path.join(PACKAGE, 'Cargo.toml')) || !fs.existsSync(manifest)) return false;
  return fs.readFileSync(manifest, 'utf8').includes('"bindings/node"');
}

/** Builds the crate in this workspace, and puts the library where lib/native.js looks for it. */
function build(workspace, flags) {
  console.log('reactor: building the native half with cargo; the first time takes a minute or two');
  const args = ['build', '--release', '--package', CRATE, '--message-format', 'json-render-diagnostics', ...flags];
  const cargo = spawnSync('cargo', args, {
    cwd: workspace,
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: Infinity,
  });
  if (cargo.error?.code === 'ENOENT') {
    fail(
      `there is no reactor.*.node for ${process.platform}-${process.arch} in the package, so it has to be built, and ` +
        'there is no cargo on the PATH. Install Rust 1.88 or newer from https://rustup.rs, and a C linker (Debian: ' +
        'the package build-essential; Fedora: gcc; macOS: xcode-select --install); then install again',
    );
  }
  if (cargo.error !== undefined) fail(`starting cargo: ${cargo.error.message}`);
  if (cargo.status !== 0) {
    const end = cargo.signal ?? `exit code ${cargo.status}`;
    fail(`cargo ${args.join(' ')} failed (${end}), see above; Rust 1.88 or newer and a C linker are needed`);
  }
  const library = libraryIn(cargo.stdout);
  if (library === undefined) fail('cargo built no library');
  // Renamed into place: a process that has the former one loaded keeps it.
  const next = `${BUILT}.${process.pid}`;
  fs.copyFileSync(library, next);
  fs.renameSync(next, BUILT);
}

/** The shared library among what cargo says that it made, a JSON message a line. */
function libraryIn(messages) {
  for (const line of messages.split('\n')) {
    if (!line.startsWith('{')) continue;
    const message = JSON.parse(line);
    if (message.reason !== 'compiler-artifact' || message.target.name !== CRATE.replace('-', '_')) continue;
    const library = message.filenames.find((name) => /\.(?:so|dylib|dll)$/.test(name));
    if (library !== undefined) return library;
  }
  return undefined;
}

function fail(why) {
  console.error(`reactor: ${why}`);
  process.exit(1);
}

main();
