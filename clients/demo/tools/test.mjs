// Bundles each test with what it tests and runs them under Node, some of them against the real service.
import {build} from 'esbuild';
import {spawnSync} from 'node:child_process';
import {readdirSync, rmSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {options as bundling} from '../../browser/tools/bundle.mjs';

const here = fileURLToPath(new URL('..', import.meta.url));
const client = fileURLToPath(new URL('../../browser/', import.meta.url));
const socket = client + 'node_modules/ws/wrapper.mjs';
const wanted = process.argv.slice(2);
const tests = readdirSync(here + 'tests').filter((name) => name.endsWith('.test.ts') && (!wanted.length || wanted.includes(name)));
rmSync(here + 'build', {recursive: true, force: true});
await build({
  ...bundling,
  absWorkingDir: here,
  entryPoints: tests.map((name) => `tests/${name}`),
  outdir: 'build',
  outExtension: {'.js': '.mjs'},
  platform: 'node',
  // The client's test service brings a WebSocket for Node, which is not bundled because it needs Node's Buffer.
  alias: {'@tidings/client': client + 'src/index.ts', ws: socket},
  external: [socket, 'puppeteer-core'],
});
const files = tests.map((name) => `build/${name.replace('.ts', '.mjs')}`);
const {status} = spawnSync(process.execPath, ['--enable-source-maps', '--test', '--test-concurrency=2', ...files], {cwd: here, stdio: 'inherit'});
process.exitCode = status ?? 1;
