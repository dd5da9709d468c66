export {Buffer} from '../src/buffer.ts';
