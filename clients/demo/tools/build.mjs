// Builds the page into service/tidings/web, which the service serves and the wheel contains. The build is committed, so that
// running the service needs no Node. With --check: fails if building changes anything. With --watch: builds on every change.
import {build, context} from 'esbuild';
import {createHash} from 'node:crypto';
import {existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {gzipSync} from 'node:zlib';
import {options as bundling} from '../../browser/tools/bundle.mjs';

const here = fileURLToPath(new URL('..', import.meta.url));
const client = fileURLToPath(new URL('../../browser/', import.meta.url));
const out = fileURLToPath(new URL('../../../service/tidings/web/', import.meta.url));

const options = {
  ...bundling,
  absWorkingDir: here,
  entryPoints: {app: 'src/main.tsx', worker: client + 'src/shared/worker.ts', sw: 'src/service-worker.ts'},
  alias: {'@tidings/client': client + 'src/index.ts'},
  outdir: out,
  platform: 'browser',
  minify: true,
  sourcemap: false,
  charset: 'utf8',
  define: {'process.env.NODE_ENV': '"production"'},
  write: false,
};

/** The whole page by file name: what esbuild made, and what is copied. */
function page({outputFiles}) {
  const made = Object.fromEntries(outputFiles.map(({path, contents}) => [path.slice(out.length), Buffer.from(contents)]));
  for (const name of readdirSync(here + 'public')) made[name] = readFileSync(here + 'public/' + name);
  // Each build has its own service worker: browsers detect an update by comparing its bytes.
  const digest = createHash('sha256');
  for (const name of Object.keys(made).sort()) digest.update(name).update(made[name]);
  made['sw.js'] = Buffer.from(made['sw.js'].toString().replaceAll('BUILD', digest.digest('hex').slice(0, 12)));
  return made;
}

function write(made) {
  mkdirSync(out, {recursive: true});
  for (const name of readdirSync(out)) if (!(name in made)) rmSync(out + name);
  for (const [name, bytes] of Object.entries(made)) writeFileSync(out + name, bytes);
  for (const name of ['app.js', 'app.css', 'worker.js']) {
    const bytes = made[name];
    console.log(`${name} ${(bytes.length / 1024).toFixed(1)} KiB, ${(gzipSync(bytes).length / 1024).toFixed(1)} KiB gzipped`);
  }
}

function check(made) {
  const kept = existsSync(out) ? readdirSync(out) : [];
  const names = new Set([...kept, ...Object.keys(made)]);
  const changed = [...names].filter((name) => !made[name] || !kept.includes(name) || !made[name].equals(readFileSync(out + name)));
  if (changed.length) {
    console.error(`service/tidings/web is not what the sources give: ${changed.join(', ')}; run make page and commit it`);
    process.exitCode = 1;
  }
}

if (process.argv.includes('--watch')) {
  const writing = {name: 'writing', setup: ({onEnd}) => onEnd((result) => !result.errors.length && write(page(result)))};
  await (await context({...options, plugins: [writing]})).watch();
} else {
  const made = page(await build(options));
  if (process.argv.includes('--check')) check(made);
  else write(made);
}
