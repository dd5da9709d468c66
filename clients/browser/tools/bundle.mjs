// How this package is bundled: rsocket-js brings code for a global Buffer; it gets one that is only its own.
import {fileURLToPath} from 'node:url';

export const here = fileURLToPath(new URL('..', import.meta.url));
export const options = {
  absWorkingDir: here,
  bundle: true,
  format: 'esm',
  target: 'es2022',
  inject: ['tools/buffer.mjs'],
  alias: {buffer: here + 'node_modules/buffer/index.js'},
  sourcemap: true,
  logLevel: 'warning',
};
