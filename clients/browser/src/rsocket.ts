/**
 * The wire over rsocket-js 1.0.0-alpha.3.
 *
 * This line and not 0.0.27, because its stream takes `request(n)` for exactly n, its payloads are always bytes, it has
 * types of its own, and it is the one that is smaller in a bundle. Its Buffer (`buffer.ts`) is put in by the build.
 * What it cannot do is not used: resumption (the cursors do it), leases, metadata push.
 */
import {type Closeable, type Payload, RSocketConnector} from "rsocket-core";
import {WebsocketClientTransport} from "rsocket-websocket-client";
import {Buffer} from "./buffer.ts";
import {Lost, type WireError} from "./errors.ts";
import {bearer, COMPOSITE, routing, simple} from "./metadata.ts";
import type {Connection, Connector, Receiver, Setup, Traffic, Wire, WireStream} from "./wire.ts";

/** Makes a WebSocket; the default is the platform's own. */
export type SocketMaker = (url: string) => WebSocket;

const CONNECTION_ERROR = 0x101;
const PROTOBUF = "application/vnd.google.protobuf";
type Socket = Awaited<ReturnType<RSocketConnector["connect"]>>;

/** A connector that opens a connection of its own. */
export function direct(makeSocket: SocketMaker = (url) => new WebSocket(url)): Connector {
  return {open: (setup) => open(setup, makeSocket)};
}

async function open(setup: Setup, makeSocket: SocketMaker): Promise<Wire> {
  const passed = {framesIn: 0, framesOut: 0, bytesIn: 0, bytesOut: 0, sinceMs: Date.now()};
  const wire = new RSocketWire(passed);
  const metadata = credentials(setup);
  let opened = false;
  const connector = new RSocketConnector({
    setup: {
      dataMimeType: PROTOBUF,
      metadataMimeType: COMPOSITE,
      keepAlive: setup.keepaliveMs,
      lifetime: setup.lifetimeMs,
      ...(metadata && {payload: payload(new Uint8Array(), metadata)}),
    },
    transport: new WebsocketClientTransport({url: setup.url, wsCreator: (url) => counted(makeSocket(url), passed, () => (opened = true))}),
  });
  try {
    wire.use(await connector.connect());
  } catch (error) {
    // A browser tells nothing about a failed WebSocket: the error is undefined there.
    const text = (error instanceof Error && error.message) || `no connection to ${setup.url}`;
    throw new Lost(CONNECTION_ERROR, text, !opened);
  }
  return wire;
}

/** The socket, counting what passes. */
function counted(socket: WebSocket, passed: {-readonly [Name in keyof Traffic]: Traffic[Name]}, opened: () => void): WebSocket {
  socket.addEventListener("open", opened);
  const send = socket.send.bind(socket);
  socket.send = (data) => {
    passed.framesOut += 1;
    passed.bytesOut += (data as Uint8Array).byteLength;
    send(data);
  };
  socket.addEventListener("message", ({data}: {data: ArrayBuffer}) => {
    passed.framesIn += 1;
    passed.bytesIn += data.byteLength;
  });
  return socket;
}

function credentials({token, user, password}: Setup): Buffer | undefined {
  if (token !== undefined) return bearer(token);
  return user === undefined ? undefined : simple(user, password ?? "");
}

class RSocketWire implements Wire {
  readonly leads = true;
  private socket: (Socket & Closeable) | undefined;
  private lost: Lost | undefined;
  private readonly listeners: ((lost: Lost) => void)[] = [];
  private readonly under = new Set<Receiver>();

  constructor(private readonly passed: Traffic) {}

  use(socket: Socket): void {
    this.socket = socket;
    socket.onClose((error) => this.end(error));
  }

  requestResponse(route: string, data: Uint8Array, receiver: Receiver): WireStream {
    return this.ask(receiver, (told) => {
      const stream = this.living().requestResponse(payload(data, routing(route)), told);
      return {request() {}, cancel: () => stream.cancel()};
    });
  }

  requestStream(route: string, data: Uint8Array, items: number, receiver: Receiver): WireStream {
    return this.ask(receiver, (told) => this.living().requestStream(payload(data, routing(route)), items, told));
  }

  fireAndForget(route: string, data: Uint8Array): void {
    if (!this.lost) this.living().fireAndForget(payload(data, routing(route)), {onComplete() {}, onError() {}});
  }

  async inspect(): Promise<Connection> {
    return {...this.passed, sharing: "own", tabs: 1};
  }

  close(): void {
    if (this.lost) return;
    this.socket?.close();
    this.end(undefined);
  }

  onClosed(listener: (lost: Lost) => void): void {
    if (this.lost) listener(this.lost);
    else this.listeners.push(listener);
  }

  onLead(): void {
    // It always leads, so it never begins to.
  }

  private ask(receiver: Receiver, begin: (told: Told) => WireStream): WireStream {
    if (this.lost) {
      const {code, text} = this.lost;
      queueMicrotask(() => receiver.error({code, text}));
      return {request() {}, cancel() {}};
    }
    this.under.add(receiver);
    const stream = begin(new Told(receiver, () => this.under.delete(receiver)));
    return {
      request: (items) => this.under.has(receiver) && stream.request(items),
      cancel: () => this.under.delete(receiver) && stream.cancel(),
    };
  }

  private living(): Socket {
    if (!this.socket) throw new Error("the wire is not open yet");
    return this.socket;
  }

  private end(error: unknown): void {
    if (this.lost) return;
    const {code, text} = told(error);
    this.lost = new Lost(code, text);
    // rsocket-js does not tell every stream that the connection ended; this does, each once.
    const under = [...this.under];
    this.under.clear();
    for (const receiver of under) receiver.error({code, text});
    for (const listener of this.listeners.splice(0)) listener(this.lost);
  }
}

/** Passes what rsocket-js says on, until the stream is over. */
class Told {
  constructor(
    private readonly receiver: Receiver,
    private readonly over: () => boolean,
  ) {}

  onNext({data}: Payload, isComplete: boolean): void {
    // It may be the last item, and the receiver may ask for more in reaction to it.
    if (isComplete) {
      if (!this.over()) return;
      this.receiver.next(data ?? new Uint8Array());
      this.receiver.complete();
    } else {
      this.receiver.next(data ?? new Uint8Array());
    }
  }

  onComplete(): void {
    if (this.over()) this.receiver.complete();
  }

  onError(error: Error): void {
    // Without a number it is not an ERROR of the stream but the end of the connection; `end` tells that, with its reason.
    if (typeof (error as {code?: unknown}).code !== "number") return;
    if (this.over()) this.receiver.error(told(error));
  }

  onExtension(): void {}
}

function payload(data: Uint8Array, metadata: Buffer): Payload {
  // Its types name the Buffer of Node; what it uses of that is in ours.
  return {data: Buffer.from(data.buffer, data.byteOffset, data.byteLength), metadata} as unknown as Payload;
}

function told(error: unknown): WireError {
  const {code, message} = (error ?? {}) as {code?: unknown; message?: unknown};
  return {
    code: typeof code === "number" ? code : CONNECTION_ERROR,
    text: typeof message === "string" && message ? message : "the connection ended",
  };
}
