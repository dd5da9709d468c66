'use strict';
// The .proto files, read.

const path = require('node:path');
const protobuf = require('protobufjs');

const PROTOS = path.join(__dirname, '..', '..', 'protos');
// Protobuf's own files come with the library.
const GOOGLE = path.dirname(require.resolve('protobufjs/package.json'));
const FILES = ['chat', 'history', 'presence', 'receipts', 'rooms', 'session'];

const root = new protobuf.Root();
root.resolvePath = (_, name) => path.join(name.startsWith('google/') ? GOOGLE : PROTOS, name);
root.loadSync(FILES.map((name) => `tidings/v1/${name}.proto`));

module.exports = {root};
