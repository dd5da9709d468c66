// Generates src/gen from protos/. With --check: fails if that would change anything.
import {execFileSync} from 'node:child_process';
import {cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {tmpdir} from 'node:os';

const here = fileURLToPath(new URL('..', import.meta.url));
const out = mkdtempSync(join(tmpdir(), 'tidings-gen-'));
const template = join(out, 'buf.gen.yaml');
writeFileSync(
  template,
  `version: v2
plugins:
  - local: ${join(here, 'node_modules/.bin/protoc-gen-es')}
    out: ${join(out, 'gen')}
    opt: [target=ts, import_extension=ts]
`,
);

const files = (folder) =>
  Object.fromEntries(
    readdirSync(folder, {recursive: true, withFileTypes: true})
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
      .map((path) => [path.slice(folder.length + 1), readFileSync(path, 'utf8')]),
  );

try {
  execFileSync(join(here, '../../.venv/bin/buf'), ['generate', '--template', template, join(here, '../../protos')], {stdio: 'inherit'});
  const made = files(join(out, 'gen'));
  if (process.argv.includes('--check')) {
    const kept = files(join(here, 'src/gen'));
    const names = new Set([...Object.keys(made), ...Object.keys(kept)]);
    const changed = [...names].filter((name) => made[name] !== kept[name]);
    if (changed.length) {
      console.error(`src/gen is not what protos/ says: ${changed.join(', ')}; run npm run generate`);
      process.exitCode = 1;
    }
  } else {
    rmSync(join(here, 'src/gen'), {recursive: true, force: true});
    cpSync(join(out, 'gen'), join(here, 'src/gen'), {recursive: true});
  }
} finally {
  rmSync(out, {recursive: true});
}
