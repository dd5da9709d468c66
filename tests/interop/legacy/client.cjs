'use strict';
// rsocket-js 0.0.27 as the driver wants it.

const {
  APPLICATION_OCTET_STREAM,
  BufferEncoders,
  encodeBearerAuthMetadata,
  encodeCompositeMetadata,
  encodeRoute,
  encodeSimpleAuthMetadata,
  FLAGS,
  FRAME_TYPES,
  Leases,
  MESSAGE_RSOCKET_AUTHENTICATION,
  MESSAGE_RSOCKET_COMPOSITE_METADATA,
  MESSAGE_RSOCKET_MIMETYPE,
  MESSAGE_RSOCKET_ROUTING,
  RSocketClient,
  WellKnownMimeType,
} = require('rsocket-core');
const {Flowable} = require('rsocket-flowable');
const RSocketTcpClient = require('rsocket-tcp-client').default;
const RSocketWebSocketClient = require('rsocket-websocket-client').default;
const WebSocket = require('ws');
const {drive, Outbox} = require('../driver.cjs');

const TRANSPORTS = {
  'ws:': (url) => new RSocketWebSocketClient({url: url.href, wsCreator: (href) => new WebSocket(href)}, BufferEncoders),
  'tcp:': (url) => new RSocketTcpClient({host: url.hostname, port: Number(url.port)}, BufferEncoders),
};

function metadata({route, mime, auth}) {
  const entries = [];
  if (route) entries.push([MESSAGE_RSOCKET_ROUTING, encodeRoute(route)]);
  if (mime) entries.push([MESSAGE_RSOCKET_MIMETYPE, Buffer.from([0x80 | WellKnownMimeType.fromString(mime).identifier])]);
  if (auth) entries.push([MESSAGE_RSOCKET_AUTHENTICATION, credentials(auth)]);
  return encodeCompositeMetadata(entries);
}

function credentials({user, password, token}) {
  return token ? encodeBearerAuthMetadata(token) : encodeSimpleAuthMetadata(user, password);
}

/** Leases that call `granted` with each one. */
function receiving(granted) {
  const receive = (leases) =>
    leases.subscribe({onSubscribe: (subscription) => subscription.request(Number.MAX_SAFE_INTEGER), onNext: granted});
  return () => new Leases().receiver(receive);
}

async function connect(url, {dataMime, payload, keepaliveMs, lifetimeMs, leases}, on) {
  const transport = TRANSPORTS[url.protocol](url);
  let reason = null;
  let granted;
  // Without a lease the library fails every request by itself.
  const leased = leases && new Promise((resolve) => (granted = resolve));
  const client = new RSocketClient({
    setup: {
      dataMimeType: dataMime ?? APPLICATION_OCTET_STREAM.string,
      metadataMimeType: MESSAGE_RSOCKET_COMPOSITE_METADATA.string,
      keepAlive: keepaliveMs,
      lifetime: lifetimeMs,
      payload,
    },
    transport,
    leases: leases && receiving(granted),
    errorHandler: (error) => (reason = error),
  });
  const socket = await new Promise((resolve, reject) => client.connect().then(resolve, reject));
  transport.receive().subscribe({
    onSubscribe: (subscription) => subscription.request(Number.MAX_SAFE_INTEGER),
    onNext: ({type, flags}) => {
      if (type === FRAME_TYPES.KEEPALIVE) on.keepalive(flags & FLAGS.RESPOND ? 'ask' : 'echo');
    },
  });
  socket.connectionStatus().subscribe({
    onSubscribe: (subscription) => subscription.request(Number.MAX_SAFE_INTEGER),
    onNext: ({kind, error}) => {
      // The library closes first and calls its errorHandler afterwards.
      if (kind === 'CLOSED' || kind === 'ERROR') setTimeout(() => on.closed(reason ?? error), 0);
    },
  });
  await leased;
  return {
    call: (request) =>
      new Promise((resolve, reject) =>
        socket.requestResponse(request).subscribe({onComplete: ({data}) => resolve(data), onError: reject}),
      ),
    fire: (request) => socket.fireAndForget(request),
    stream: (request, n, events) => subscribed(socket.requestStream(request), n, events),
    channel(request, n, events) {
      const outbox = {};
      const commands = new Flowable((subscriber) => {
        const box = new Outbox((item) => subscriber.onNext(item), () => subscriber.onComplete());
        Object.assign(outbox, {send: (item) => box.send(item), complete: () => box.complete()});
        box.send(request);
        subscriber.onSubscribe({request: (more) => box.request(more), cancel: () => (box.waiting = [])});
      });
      return {...subscribed(socket.requestChannel(commands), n, events), ...outbox};
    },
    close: () => socket.close(),
  };
}

function subscribed(flowable, n, events) {
  let subscription;
  flowable.subscribe({
    onSubscribe: (given) => {
      subscription = given;
      subscription.request(n);
    },
    onNext: ({data}) => events.next(data),
    onComplete: events.complete,
    onError: events.error,
  });
  return {request: (more) => subscription.request(more), cancel: () => subscription.cancel()};
}

drive({connect, metadata});
