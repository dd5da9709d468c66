'use strict';
// rsocket-js 0.0.27 on Node and `ws`: rooms in memory, nothing kept, no permission asked.
//
// The library's own connection over WebSocket is written for clients; given a socket that is open already it serves as
// well, and its bytes are those of the library's server package.

const path = require('node:path');

const ROOT = path.join(__dirname, '..', '..');
const LEGACY = path.join(ROOT, 'tests', 'interop', 'legacy');
const from = (name) => require(require.resolve(name, {paths: [LEGACY]}));

const {BufferEncoders, decodeCompositeMetadata, decodeRoutes, MESSAGE_RSOCKET_ROUTING, RSocketServer} = from('rsocket-core');
const {Flowable, Single} = from('rsocket-flowable');
const RSocketWebSocketClient = from('rsocket-websocket-client').default;
const {WebSocketServer} = from('ws');
const protobuf = from('protobufjs');

const EPOCH = '0123456789';
const AT_MS = 1_700_000_000_000;
const contract = load();
const [SendRequest, SendReply, WatchRequest, WatchItem] = ['SendRequest', 'SendReply', 'WatchRequest', 'WatchItem'].map(
  (name) => contract.lookupType(name),
);
const encoded = (type, message) => Buffer.from(type.encode(message).finish());
const LIVE = {data: encoded(WatchItem, {cursor: {epoch: EPOCH}, live: {}})};
const NOTHING = {data: Buffer.alloc(0)};
const readers = new Map();
const seqs = new Map();

function load() {
  const google = path.dirname(require.resolve('protobufjs/package.json', {paths: [LEGACY]}));
  const root = new protobuf.Root();
  root.resolvePath = (_, name) => path.join(name.startsWith('google/') ? google : path.join(ROOT, 'protos'), name);
  root.loadSync('tidings/v1/chat.proto');
  return root.resolveAll().lookup('tidings.v1');
}

function routeOf(metadata) {
  for (const entry of decodeCompositeMetadata(metadata)) {
    if (entry.mimeType === MESSAGE_RSOCKET_ROUTING.string) {
      for (const route of decodeRoutes(entry.content)) return route;
    }
  }
  return '';
}

function post(data) {
  const {room, clientId, text} = SendRequest.decode(data);
  const seq = (seqs.get(room) ?? 0) + 1;
  seqs.set(room, seq);
  const cursor = {epoch: EPOCH, seq};
  const event = {room, seq, atMs: AT_MS, actor: 'bench', clientId, posted: {text}};
  const item = {data: encoded(WatchItem, {cursor, event})};
  for (const reader of readers.get(room) ?? []) reader.onNext(item);
  return {data: encoded(SendReply, {cursor, atMs: AT_MS})};
}

function watch(data) {
  const {room} = WatchRequest.decode(data);
  return new Flowable((subscriber) => {
    let open = false;
    subscriber.onSubscribe({
      cancel: () => readers.get(room)?.delete(subscriber),
      request: () => {
        if (open) return;
        open = true;
        if (!readers.has(room)) readers.set(room, new Set());
        readers.get(room).add(subscriber);
        subscriber.onNext(LIVE);
      },
    });
  });
}

const handler = {
  requestResponse: ({data, metadata}) => Single.of(routeOf(metadata) === 'chat.send' ? post(data) : NOTHING),
  requestStream: ({data}) => watch(data),
};

const sockets = new WebSocketServer({host: '127.0.0.1', port: 0, path: '/rsocket', perMessageDeflate: false, backlog: 4096});
const transport = {
  start: () =>
    new Flowable((subscriber) => {
      subscriber.onSubscribe({cancel: () => sockets.close(), request: () => {}});
      sockets.on('connection', (socket) => {
        const connection = new RSocketWebSocketClient({url: '', wsCreator: () => socket}, BufferEncoders);
        connection.connect();
        connection._handleOpened();
        subscriber.onNext(connection);
      });
    }),
  stop: () => sockets.close(),
};
new RSocketServer({getRequestHandler: () => handler, transport}).start();
process.stdin.resume().on('end', () => process.exit());
sockets.on('listening', () => console.log(JSON.stringify({ws: sockets.address().port})));
