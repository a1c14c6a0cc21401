// What the READMEs show in JavaScript: each snippet is a whole module, and those that start a server start it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { LIMIT } from './fixtures/scene.mjs';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const READMES = [path.join(PACKAGE, '../../README.md'), path.join(PACKAGE, 'README.md')];

const ECHO = 'export default (data) => data;\n';

/** A folder in which `reactor` is this package, with a handler beside the programs. */
function installed(t) {
  const folder = fs.mkdtempSync(path.join(tmpdir(), 'reactor-readme-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  fs.mkdirSync(path.join(folder, 'node_modules'));
  fs.symlinkSync(PACKAGE, path.join(folder, 'node_modules/reactor'));
  fs.writeFileSync(path.join(folder, 'handler.mjs'), ECHO);
  return folder;
}

async function node(folder, ...args) {
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  const [code] = await once(child, 'close');
  return { code, stderr };
}

for (const readme of READMES) {
  const shown = path.relative(path.join(PACKAGE, '../..'), readme);
  const snippets = Array.from(fs.readFileSync(readme, 'utf8').matchAll(/^```js\n(.*?)^```$/gms), ([, text]) => text);

  test(`the snippets of ${shown} run as they stand`, LIMIT, async (t) => {
    assert.ok(snippets.length > 0);
    const folder = installed(t);
    for (const [index, snippet] of snippets.entries()) {
      const program = path.join(folder, `snippet-${index}.mjs`);
      fs.writeFileSync(program, snippet);
      assert.deepEqual(await node(folder, '--check', program), { code: 0, stderr: '' }, snippet);
      if (!snippet.includes('start(')) continue;
      // A later snippet goes on with the program of the first.
      const imports = snippet.includes(" from 'reactor'") ? '' : "import { start } from 'reactor';\n";
      const anyPort = snippet.replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:0');
      fs.writeFileSync(program, `${imports}${anyPort}\nprocess.exit();\n`);
      assert.deepEqual(await node(folder, program), { code: 0, stderr: '' }, snippet);
    }
  });
}
