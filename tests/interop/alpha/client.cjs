'use strict';
// rsocket-js 1.0.0-alpha.3 as the driver wants it.

const {
  encodeBearerAuthMetadata,
  encodeCompositeMetadata,
  encodeRoute,
  encodeSimpleAuthMetadata,
  WellKnownMimeType,
} = require('rsocket-composite-metadata');
const {Flags, FrameTypes, RSocketConnector} = require('rsocket-core');
const {TcpClientTransport} = require('rsocket-tcp-client');
const {WebsocketClientTransport} = require('rsocket-websocket-client');
const WebSocket = require('ws');
const {drive, Outbox} = require('../driver.cjs');

const {
  MESSAGE_RSOCKET_AUTHENTICATION,
  MESSAGE_RSOCKET_COMPOSITE_METADATA,
  MESSAGE_RSOCKET_MIMETYPE,
  MESSAGE_RSOCKET_ROUTING,
} = WellKnownMimeType;

const TRANSPORTS = {
  'ws:': (url) => new WebsocketClientTransport({url: url.href, wsCreator: (href) => new WebSocket(href)}),
  'tcp:': (url) => new TcpClientTransport({connectionOptions: {host: url.hostname, port: Number(url.port)}}),
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

/** The transport, telling of every KEEPALIVE that passes. */
function observed(transport, on) {
  return {
    connect: (factory) =>
      transport.connect((outbound) => {
        const demultiplexer = factory(outbound);
        const handle = demultiplexer.handle;
        demultiplexer.handle = (frame) => {
          if (frame.type === FrameTypes.KEEPALIVE) on.keepalive(Flags.hasRespond(frame.flags) ? 'ask' : 'echo');
          handle.call(demultiplexer, frame);
        };
        return demultiplexer;
      }),
  };
}

async function connect(url, {dataMime, payload, keepaliveMs, lifetimeMs, fragmentBytes, leases}, on) {
  const socket = await new RSocketConnector({
    setup: {
      dataMimeType: dataMime,
      metadataMimeType: MESSAGE_RSOCKET_COMPOSITE_METADATA.string,
      keepAlive: keepaliveMs,
      lifetime: lifetimeMs,
      payload,
    },
    transport: observed(TRANSPORTS[url.protocol](url), on),
    // Without a lease requests wait.
    lease: leases && {maxPendingRequests: 256},
    fragmentation: {maxOutboundFragmentSize: fragmentBytes ?? 0},
  }).connect();
  socket.onClose(on.closed);
  return {
    call: (request) =>
      new Promise((resolve, reject) =>
        socket.requestResponse(request, {
          onNext: ({data}) => resolve(data),
          onComplete: () => reject(new Error('the reply has no payload')),
          onError: reject,
        }),
      ),
    fire: (request) => socket.fireAndForget(request, {onComplete() {}, onError() {}}),
    stream: (request, n, events) => {
      const stream = socket.requestStream(request, n, receiver(events));
      return {request: (more) => stream.request(more), cancel: () => stream.cancel()};
    },
    channel(request, n, events) {
      const box = new Outbox((item) => stream.onNext(item, false), () => stream.onComplete());
      const responder = {...receiver(events), request: (more) => box.request(more), cancel: () => (box.waiting = [])};
      const stream = socket.requestChannel(request, n, false, responder);
      return {
        request: (more) => stream.request(more),
        cancel: () => stream.cancel(),
        send: (item) => box.send(item),
        complete: () => box.complete(),
      };
    },
    close: () => socket.close(),
  };
}

function receiver(events) {
  return {
    onNext: ({data}, isComplete) => {
      events.next(data);
      if (isComplete) events.complete();
    },
    onComplete: events.complete,
    onError: events.error,
    onExtension() {},
  };
}

drive({connect, metadata});
