/**
 * The connection over rsocket-js 1.0.0-alpha.3.
 *
 * This pipe and not 0.0.27, because its stream takes `request(n)` for exactly n, its payloads are always bytes, it has
 * types of its own, and it is the one that is smaller in a bundle. Its Buffer (`buffer.ts`) is put in by the build.
 * What it cannot do is not used: resumption (the cursors do it), leases, metadata push.
 */
import {type Closeable, type Payload, RSocketConnector} from "rsocket-core";
import {WebsocketClientTransport} from "rsocket-websocket-client";
import {Buffer} from "./buffer.ts";
import {ConnectionLostError, type StreamError} from "./errors.ts";
import {bearerMetadata, COMPOSITE, routeMetadata, simpleAuthMetadata} from "./metadata.ts";
import type {ConnectionStats, Connector, StreamObserver, Setup, TrafficCounters, Connection, RequestHandle} from "./connection.ts";

/** Makes a WebSocket; the default is the platform's own. */
export type WebSocketFactory = (url: string) => WebSocket;

const CONNECTION_ERROR = 0x101;
const PROTOBUF = "application/vnd.google.protobuf";
type Socket = Awaited<ReturnType<RSocketConnector["connect"]>>;

/** A connector that opens a connection of its own. */
export function directConnector(makeSocket: WebSocketFactory = (url) => new WebSocket(url)): Connector {
  return {open: (setup) => open(setup, makeSocket)};
}

async function open(setup: Setup, makeSocket: WebSocketFactory): Promise<Connection> {
  const passed = {framesIn: 0, framesOut: 0, bytesIn: 0, bytesOut: 0, sinceMs: Date.now()};
  const connection = new RSocketConnection(passed);
  const metadata = authMetadata(setup);
  let opened = false;
  const connector = new RSocketConnector({
    setup: {
      dataMimeType: PROTOBUF,
      metadataMimeType: COMPOSITE,
      keepAlive: setup.keepaliveMs,
      lifetime: setup.lifetimeMs,
      ...(metadata && {payload: payload(new Uint8Array(), metadata)}),
    },
    transport: new WebsocketClientTransport({url: setup.url, wsCreator: (url) => countTraffic(makeSocket(url), passed, () => (opened = true))}),
  });
  try {
    connection.attach(await connector.connect());
  } catch (error) {
    // A browser tells nothing about a failed WebSocket: the error is undefined there.
    const text = (error instanceof Error && error.message) || `no connection to ${setup.url}`;
    throw new ConnectionLostError(CONNECTION_ERROR, text, !opened);
  }
  return connection;
}

/** The socket, counting what passes. */
function countTraffic(socket: WebSocket, traffic: {-readonly [Name in keyof TrafficCounters]: TrafficCounters[Name]}, opened: () => void): WebSocket {
  socket.addEventListener("open", opened);
  const send = socket.send.bind(socket);
  socket.send = (data) => {
    traffic.framesOut += 1;
    traffic.bytesOut += (data as Uint8Array).byteLength;
    send(data);
  };
  socket.addEventListener("message", ({data}: {data: ArrayBuffer}) => {
    traffic.framesIn += 1;
    traffic.bytesIn += data.byteLength;
  });
  return socket;
}

function authMetadata({token, user, password}: Setup): Buffer | undefined {
  if (token !== undefined) return bearerMetadata(token);
  return user === undefined ? undefined : simpleAuthMetadata(user, password ?? "");
}

class RSocketConnection implements Connection {
  readonly isLeader = true;
  private socket: (Socket & Closeable) | undefined;
  private lostError: ConnectionLostError | undefined;
  private readonly listeners: ((lost: ConnectionLostError) => void)[] = [];
  private readonly activeObservers = new Set<StreamObserver>();

  constructor(private readonly traffic: TrafficCounters) {}

  attach(socket: Socket): void {
    this.socket = socket;
    socket.onClose((error) => this.onEnded(error));
  }

  requestResponse(route: string, data: Uint8Array, observer: StreamObserver): RequestHandle {
    return this.startRequest(observer, (told) => {
      const stream = this.requireSocket().requestResponse(payload(data, routeMetadata(route)), told);
      return {request() {}, cancel: () => stream.cancel()};
    });
  }

  requestStream(route: string, data: Uint8Array, items: number, observer: StreamObserver): RequestHandle {
    return this.startRequest(observer, (told) => this.requireSocket().requestStream(payload(data, routeMetadata(route)), items, told));
  }

  fireAndForget(route: string, data: Uint8Array): void {
    if (!this.lostError) this.requireSocket().fireAndForget(payload(data, routeMetadata(route)), {onComplete() {}, onError() {}});
  }

  async inspect(): Promise<ConnectionStats> {
    return {...this.traffic, sharing: "own", tabs: 1};
  }

  close(): void {
    if (this.lostError) return;
    this.socket?.close();
    this.onEnded(undefined);
  }

  onClosed(listener: (lost: ConnectionLostError) => void): void {
    if (this.lostError) listener(this.lostError);
    else this.listeners.push(listener);
  }

  onBecomeLeader(): void {
    // It always leads, so it never begins to.
  }

  private startRequest(observer: StreamObserver, begin: (told: ObserverAdapter) => RequestHandle): RequestHandle {
    if (this.lostError) {
      const {code, text} = this.lostError;
      queueMicrotask(() => observer.onError({code, text}));
      return {request() {}, cancel() {}};
    }
    this.activeObservers.add(observer);
    const stream = begin(new ObserverAdapter(observer, () => this.activeObservers.delete(observer)));
    return {
      request: (items) => this.activeObservers.has(observer) && stream.request(items),
      cancel: () => this.activeObservers.delete(observer) && stream.cancel(),
    };
  }

  private requireSocket(): Socket {
    if (!this.socket) throw new Error("the connection is not open yet");
    return this.socket;
  }

  private onEnded(error: unknown): void {
    if (this.lostError) return;
    const {code, text} = toStreamError(error);
    this.lostError = new ConnectionLostError(code, text);
    // rsocket-js does not tell every stream that the connection ended; this does, each once.
    const under = [...this.activeObservers];
    this.activeObservers.clear();
    for (const observer of under) observer.onError({code, text});
    for (const listener of this.listeners.splice(0)) listener(this.lostError);
  }
}

/** Passes what rsocket-js says on, until the stream is over. */
class ObserverAdapter {
  constructor(
    private readonly observer: StreamObserver,
    private readonly finish: () => boolean,
  ) {}

  onNext({data}: Payload, isComplete: boolean): void {
    // It may be the last item, and the observer may ask for more in reaction to it.
    if (isComplete) {
      if (!this.finish()) return;
      this.observer.onNext(data ?? new Uint8Array());
      this.observer.onComplete();
    } else {
      this.observer.onNext(data ?? new Uint8Array());
    }
  }

  onComplete(): void {
    if (this.finish()) this.observer.onComplete();
  }

  onError(error: Error): void {
    // Without a number it is not an ERROR of the stream but the end of the connection; `end` tells that, with its reason.
    if (typeof (error as {code?: unknown}).code !== "number") return;
    if (this.finish()) this.observer.onError(toStreamError(error));
  }

  onExtension(): void {}
}

function payload(data: Uint8Array, metadata: Buffer): Payload {
  // Its types name the Buffer of Node; what it uses of that is in ours.
  return {data: Buffer.from(data.buffer, data.byteOffset, data.byteLength), metadata} as unknown as Payload;
}

function toStreamError(error: unknown): StreamError {
  const {code, message} = (error ?? {}) as {code?: unknown; message?: unknown};
  return {
    code: typeof code === "number" ? code : CONNECTION_ERROR,
    text: typeof message === "string" && message ? message : "the connection ended",
  };
}
