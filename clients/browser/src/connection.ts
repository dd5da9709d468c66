/**
 * What the client needs of a connection, and nothing of how it is made.
 *
 * Three things implement it: rsocket-js (`rsocket.ts`), a port to the connection of another tab (`shared/tab.ts`), and
 * whatever you hand in as `connect({connector})`. A connection is never repaired: the reconnector opens another one.
 *
 * The rule: after `onClosed` was called nothing else is, and everything asked afterwards fails with Lost.
 */
import type {ConnectionLostError, StreamError} from "./errors.ts";

/** Who is told what happens on a stream, in order. Must neither throw nor wait. */
export interface StreamObserver {
  onNext(data: Uint8Array): void;
  onComplete(): void;
  onError(error: StreamError): void;
}

/** A stream under way. */
export interface RequestHandle {
  /** The service may send `items` more. */
  request(items: number): void;
  cancel(): void;
}

/** What has passed through a connection since it began, counted at its socket. A frame is a WebSocket message. */
export interface TrafficCounters {
  readonly framesIn: number;
  readonly framesOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** When it began, Unix milliseconds by this device's clock. */
  readonly sinceMs: number;
}

/** Where a tab's connection is: its own, in the worker that all tabs share, or in the tab that leads (this or another). */
export type SharingMode = "own" | "worker" | "leader" | "follower";

/** A connection as `inspect()` finds it. */
export interface ConnectionStats extends TrafficCounters {
  readonly sharing: SharingMode;
  /** How many tabs use it. */
  readonly tabs: number;
}

/** One connection. */
export interface Connection {
  requestResponse(route: string, data: Uint8Array, observer: StreamObserver): RequestHandle;
  requestStream(route: string, data: Uint8Array, items: number, observer: StreamObserver): RequestHandle;
  fireAndForget(route: string, data: Uint8Array): void;
  /** What has passed through it; a connection that cannot tell leaves this out. Rejects with Lost. */
  inspect?(): Promise<ConnectionStats>;
  close(): void;
  /** Called once, at the end of the connection, also if it ended before it was asked. */
  onClosed(listener: (lost: ConnectionLostError) => void): void;
  /** Whether this owner has to keep the connection's token fresh. With a shared connection one of the tabs has. */
  readonly isLeader: boolean;
  /** Called when `leads` becomes true. */
  onBecomeLeader(listener: () => void): void;
}

/** What SETUP says. */
export interface Setup {
  readonly url: string;
  readonly token?: string | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** How often this side says that it is alive. */
  readonly keepaliveMs: number;
  /** Silence after which the other side is taken for dead. Three minutes or more: tabs in the background sleep. */
  readonly lifetimeMs: number;
}

/** Opens wires. */
export interface Connector {
  /** Rejects with an Error when nobody is there. Whether SETUP is accepted shows in the first answer. */
  open(setup: Setup): Promise<Connection>;
  /** Tells that an attempt is worth it now: another tab is connected. */
  onRetryHint?(listener: () => void): void;
  /** The page is put aside, perhaps for good: let go of what others share, and end the connection. */
  onPageHide?(): void;
  /** Nothing will be opened any more. */
  dispose?(): void;
}
