// Makes dist/: two ES modules, their source maps and the types. Prints the sizes. With --size: fails above the budget.
import {build} from 'esbuild';
import {execFileSync} from 'node:child_process';
import {readFileSync, rmSync} from 'node:fs';
import {gzipSync} from 'node:zlib';
import {here, options} from './bundle.mjs';

const GZIP_BYTES_MAX = 60 * 1024;

rmSync(here + 'dist', {recursive: true, force: true});
const entryPoints = {index: 'src/index.ts', worker: 'src/shared/worker.ts'};
await build({...options, entryPoints, outdir: 'dist', minify: true, platform: 'browser'});
execFileSync(here + 'node_modules/.bin/tsc', ['-p', here + 'tsconfig.build.json'], {stdio: 'inherit'});

for (const name of Object.keys(entryPoints)) {
  const bytes = readFileSync(`${here}dist/${name}.js`);
  const zipped = gzipSync(bytes, {level: 9}).length;
  console.log(`${name}.js ${(bytes.length / 1024).toFixed(1)} KiB, ${(zipped / 1024).toFixed(1)} KiB gzipped`);
  if (/\beval\(|new Function\(/.test(bytes.toString())) {
    console.error(`${name}.js makes code at run time: a strict Content-Security-Policy forbids it`);
    process.exitCode = 1;
  }
  if (process.argv.includes('--size') && zipped > GZIP_BYTES_MAX) {
    console.error(`${name}.js is larger than ${GZIP_BYTES_MAX / 1024} KiB gzipped`);
    process.exitCode = 1;
  }
}
