export {Buffer} from 'buffer';
