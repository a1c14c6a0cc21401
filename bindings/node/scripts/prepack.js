'use strict';
// Run by npm before the package is packed. Owns what the tarball holds beyond the JavaScript: the Rust sources that
// scripts/install.js builds from, laid out as in the repository, with its manifest, lints, profile and locked versions.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const PACKAGE = path.join(__dirname, '..');
const REPOSITORY = path.join(PACKAGE, '..', '..');
const STAGED = path.join(PACKAGE, 'native');

/** Members of the staged workspace, and what of each is needed to build it. */
const MEMBERS = {
  'crates/reactor-core': ['Cargo.toml', 'src'],
  'bindings/node': ['Cargo.toml', 'build.rs', 'src'],
};
const LICENSES = ['LICENSE', 'LICENSE-MIT', 'LICENSE-APACHE'];

function main() {
  fs.rmSync(STAGED, { recursive: true, force: true });
  for (const [member, parts] of Object.entries(MEMBERS)) {
    for (const part of parts) copy(path.join(member, part));
    withoutTests(path.join(STAGED, member));
  }
  fs.writeFileSync(path.join(STAGED, 'Cargo.toml'), manifest());
  copy('Cargo.lock');
  prune();
  for (const name of LICENSES) fs.copyFileSync(path.join(REPOSITORY, name), path.join(PACKAGE, name));
}

function copy(name) {
  fs.cpSync(path.join(REPOSITORY, name), path.join(STAGED, name), { recursive: true });
}

/** Takes out what a build does not read: modules that are for tests and fuzzers alone, and what those depend on. */
function withoutTests(crate) {
  const source = path.join(crate, 'src');
  const root = fs.readFileSync(path.join(source, 'lib.rs'), 'utf8');
  for (const [, attributes, name] of root.matchAll(/^((?:#\[.*\]\n)+)(?:pub )?mod (\w+);$/gm)) {
    if (!isForTests(attributes)) continue;
    for (const part of [`${name}.rs`, name]) fs.rmSync(path.join(source, part), { recursive: true, force: true });
  }
  const manifest = path.join(crate, 'Cargo.toml');
  const whole = fs.readFileSync(manifest, 'utf8');
  fs.writeFileSync(manifest, whole.replace(/^\[dev-dependencies\]\n(?:.+\n)*\n?/m, ''));
}

/** Whether a build never has a module with these attributes: `test` holds in none, nor does the feature `fuzzing`. */
function isForTests(attributes) {
  const [, condition] = /^#\[cfg\((.*)\)\]$/m.exec(attributes) ?? [];
  if (condition === undefined) return false;
  return /^(?:test$|all\(test,|any\(test, feature = "fuzzing"\)$)/.test(condition);
}

/** The repository's manifest, its members but those. */
function manifest() {
  const whole = fs.readFileSync(path.join(REPOSITORY, 'Cargo.toml'), 'utf8');
  const members = Object.keys(MEMBERS).map((member) => `"${member}"`);
  const ours = whole.replace(/^members = \[[^\]]*\]/m, `members = [${members.join(', ')}]`);
  if (ours === whole) throw new Error('prepack: Cargo.toml of the repository lists no members');
  return ours;
}

/** Takes out of the staged Cargo.lock what the staged members do not need; cargo --locked would refuse it. */
function prune() {
  const update = ['update', '--workspace', '--quiet'];
  const options = { cwd: STAGED, stdio: ['ignore', 'inherit', 'inherit'] };
  // The index of a machine that has built the workspace has all of it; asking the registry is the second choice.
  const offline = spawnSync('cargo', [...update, '--offline'], { ...options, stdio: 'ignore' });
  if (offline.error !== undefined) throw new Error(`prepack: starting cargo: ${offline.error.message}`);
  if (offline.status !== 0 && spawnSync('cargo', update, options).status !== 0) {
    throw new Error('prepack: cargo update --workspace failed, see above');
  }
  const locked = packagesIn(path.join(REPOSITORY, 'Cargo.lock'));
  const strange = [...packagesIn(path.join(STAGED, 'Cargo.lock'))].filter((name) => !locked.has(name));
  if (strange.length > 0) throw new Error(`prepack: not as locked in the repository: ${strange.join(', ')}`);
}

/** Each package of a Cargo.lock, as name and version. */
function packagesIn(lock) {
  const text = fs.readFileSync(lock, 'utf8');
  const entries = text.matchAll(/^name = "(.*)"\nversion = "(.*)"$/gm);
  return new Set(Array.from(entries, ([, name, version]) => `${name} ${version}`));
}

main();
