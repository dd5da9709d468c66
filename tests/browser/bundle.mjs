// Prepares code for pages:
//
//   node bundle.mjs rsocket-js legacy|alpha   prints the interop tests' driver of this line as a script for a page
//   node bundle.mjs library FOLDER            writes the browser client as it ships: index.js and worker.js
import {build} from 'esbuild';
import {createRequire} from 'node:module';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const interop = join(here, '..', 'interop');
const client = join(here, '..', '..', 'clients', 'browser');

/** What a page has in the place of a module of the driver's. */
const IN_A_PAGE = {
  './pipe.cjs': () => 'module.exports = {say: (line) => tidingsSay(line), hear: (obey) => (globalThis.tidingsHear = obey)};',
  './protos.cjs': () => {
    const {root} = createRequire(import.meta.url)(join(interop, 'protos.cjs'));
    return `exports.root = require('protobufjs').Root.fromJSON(${JSON.stringify(root.toJSON())});`;
  },
  // The platform's WebSocket as a class of rsocket-js' choice would be; the address is all a browser lets one say.
  ws: () => 'module.exports = WebSocket;',
  // Pages have no TCP.
  'rsocket-tcp-client': () => '',
};

const inAPage = {
  name: 'in a page',
  setup(built) {
    const names = Object.keys(IN_A_PAGE).map((name) => name.replaceAll('.', '\\.'));
    built.onResolve({filter: new RegExp(`^(\\.\\./)?(${names.join('|')})$`)}, ({path}) => ({path, namespace: 'page'}));
    built.onLoad({filter: /.*/, namespace: 'page'}, ({path}) => ({contents: IN_A_PAGE[path](), resolveDir: interop}));
  },
};

const TASKS = {
  async 'rsocket-js'(line) {
    const {outputFiles} = await build({
      entryPoints: [join(interop, line, 'client.cjs')],
      bundle: true,
      write: false,
      format: 'iife',
      platform: 'browser',
      define: {global: 'globalThis', 'process.env.NODE_ENV': '"test"'},
      // rsocket-js wants a global Buffer of Node's kind.
      inject: [join(here, 'buffer.mjs')],
      alias: {buffer: join(here, 'node_modules', 'buffer', 'index.js')},
      plugins: [inAPage],
      logLevel: 'error',
    });
    process.stdout.write(outputFiles[0].text);
  },
  async library(folder) {
    const {options} = await import(join(client, 'tools', 'bundle.mjs'));
    const entryPoints = {index: 'src/index.ts', worker: 'src/shared/worker.ts'};
    await build({...options, entryPoints, outdir: folder, minify: true, platform: 'browser'});
  },
};

const [task, argument] = process.argv.slice(2);
await TASKS[task](argument);
