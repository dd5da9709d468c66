// Bundles each test with what it tests (the package as it is shipped, its own Buffer and all) and runs them.
import {build} from 'esbuild';
import {spawnSync} from 'node:child_process';
import {readdirSync, rmSync} from 'node:fs';
import {here, options} from './bundle.mjs';

const wanted = process.argv.slice(2);
const tests = readdirSync(here + 'tests').filter((name) => name.endsWith('.test.ts') && (!wanted.length || wanted.includes(name)));
rmSync(here + 'build', {recursive: true, force: true});
await build({
  ...options,
  entryPoints: tests.map((name) => `tests/${name}`),
  outdir: 'build',
  outExtension: {'.js': '.mjs'},
  platform: 'node',
  external: ['ws', 'fake-indexeddb', 'esbuild'],
});
const files = tests.map((name) => `build/${name.replace('.ts', '.mjs')}`);
const {status} = spawnSync(process.execPath, ['--enable-source-maps', '--expose-gc', '--test', '--test-concurrency=2', ...files], {cwd: here, stdio: 'inherit'});
process.exitCode = status ?? 1;
