// How this package is bundled: rsocket-js brings code for a global Buffer; it gets one that is only its own, and small.
import {fileURLToPath} from 'node:url';

export const here = fileURLToPath(new URL('..', import.meta.url));
export const options = {
  absWorkingDir: here,
  bundle: true,
  format: 'esm',
  target: 'es2022',
  inject: [here + 'tools/buffer.mjs'],
  sourcemap: true,
  logLevel: 'warning',
};
