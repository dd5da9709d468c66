/**
 * Keeps one connection alive: opens it, notices its end, waits a little, opens the next one.
 *
 *     connecting ──up──▶ online ──lost──▶ reconnecting ──up──▶ online …
 *     any of them ──the browser has no network──▶ offline ──it has──▶ reconnecting
 *     any of them ──wrong credentials──▶ refused          any of them ──close()──▶ closed
 *
 * A connection counts as up when the service has answered `session.info` on it: RSocket has no sign of an accepted SETUP, and
 * this one also says when the token runs out. The order at the end of a connection is what everything else relies on: its
 * streams are told first, then the reconnector forgets it, then the wait for the next attempt begins.
 */
import {fromBinary, toBinary} from "@bufbuild/protobuf";
import {type InfoReply, InfoReplySchema, InfoRequestSchema, RefreshReplySchema, RefreshRequestSchema} from "./gen/tidings/v1/session_pb.ts";
import {create} from "@bufbuild/protobuf";
import {shouldRetry, classifyError, CALL_RETRY_CODES, clientClosed, Code, ApiError, ConnectionLostError, permanentFailure} from "./errors.ts";
import type {CredentialsProvider} from "./credentials.ts";
import type {NetworkStatus} from "./network.ts";
import {Backoff, type BackoffPolicy} from "./backoff.ts";
import type {Connector, Connection} from "./connection.ts";

/** How the connection is. */
export type ClientState = "connecting" | "online" | "offline" | "reconnecting" | "refused" | "closed";

const REJECTED_TOKENS_MAX = 3; // a fresh token may have been made a moment too early; three in a row are wrong
const UNOPENED_REPORTED = 3; // handshakes in a row that never opened: no hiccup of a network any more
const STABLE_MS = 10_000; // a connection that held for so long was a good one: the attempt after it is the first
const REFRESH_FRACTION = 0.8; // of a token's remaining life; the rest is for attempts that fail
const REFRESH_MS_MIN = 100;
const TIMER_MS_MAX = 2_147_483_647;

export interface ConnectionSettings {
  readonly url: string;
  readonly keepaliveMs: number;
  readonly lifetimeMs: number;
  /** One attempt: socket, handshake, first answer. */
  readonly connectMs: number;
  readonly backoff: BackoffPolicy;
}

/** Who uses every connection there will be. */
export interface ConnectionObserver {
  onConnected(connection: Connection): void;
  onClosed(failure: ApiError): void;
}

export class Reconnector {
  state: ClientState = "connecting";
  connection: Connection | undefined;
  sessionInfo: InfoReply | undefined;
  /** Why there is no connection: of the last attempt, or for good. */
  lastError: ApiError | undefined;
  /** There and back, as `session.info` or `session.ping` took it last. */
  roundTripMs: number | undefined;
  /** When the next attempt begins, Unix milliseconds; undefined while none is planned. */
  nextAttemptAtMs: number | undefined;
  /** The end of what `drop` began, Unix milliseconds. */
  offlineUntilMs: number | undefined;
  readonly observers = new Set<ConnectionObserver>();
  readonly backoff: Backoff;
  private rejectedTokens = 0;
  /** Handshakes in a row that never opened, while none ever did; undefined: one did, so this origin is let in. */
  private unopenedHandshakes: number | undefined = 0;
  private openingConnection: Connection | undefined;
  private attemptTimer: ReturnType<typeof setTimeout> | undefined;
  private offlineTimer: ReturnType<typeof setTimeout> | undefined;
  private refreshTimer: ReturnType<typeof setTimeout> | undefined;
  private isAttempting = false;
  private readonly unsubscribeNetwork: () => void;

  constructor(
    readonly settings: ConnectionSettings,
    private readonly credentials: CredentialsProvider,
    private readonly connector: Connector,
    private readonly network: NetworkStatus,
    private readonly onStateChange: (state: ClientState) => void,
  ) {
    this.backoff = new Backoff(settings.backoff);
    this.unsubscribeNetwork = network.onChange(() => this.onNetworkChange());
    connector.onRetryHint?.(() => this.retryNow());
  }

  get isClosed(): boolean {
    return this.state === "refused" || this.state === "closed";
  }

  private get isOnline(): boolean {
    return this.offlineUntilMs === undefined && this.network.online();
  }

  start(): void {
    if (this.isOnline) void this.tryConnect();
    else this.setState("offline");
  }

  /** Do not wait for the next attempt, make it now. */
  retryNow(): void {
    if (this.attemptTimer === undefined) return;
    this.scheduleAttempt(undefined);
    void this.tryConnect();
  }

  /** As if there were no network for `ms` from now on; 0: there is one again. The service sees the connection end. */
  simulateOffline(ms: number): void {
    if (this.isClosed) return;
    clearTimeout(this.offlineTimer);
    this.offlineUntilMs = ms > 0 ? Date.now() + ms : undefined;
    if (ms > 0) this.offlineTimer = setTimeout(() => this.simulateOffline(0), ms);
    const connection = this.connection ?? this.openingConnection;
    if (ms > 0) connection?.close();
    this.onNetworkChange();
  }

  close(): void {
    if (this.state !== "closed") this.shutDown("closed", clientClosed());
  }

  addObserver(observer: ConnectionObserver): void {
    if (this.isClosed) {
      observer.onClosed(this.lastError ?? clientClosed());
      return;
    }
    this.observers.add(observer);
    if (this.connection) observer.onConnected(this.connection);
  }

  removeObserver(observer: ConnectionObserver): void {
    this.observers.delete(observer);
  }

  private async tryConnect(): Promise<void> {
    if (this.isAttempting || this.connection || this.isClosed) return;
    this.isAttempting = true;
    let failure: unknown;
    try {
      const connection = await this.openConnection();
      if (this.isClosed) connection.close();
      else if (this.offlineUntilMs === undefined) this.onConnected(connection);
      else {
        connection.close();
        throw new Error("there is no network for a while, as was asked for");
      }
    } catch (error) {
      failure = error;
    }
    this.isAttempting = false;
    if (failure !== undefined && !this.isClosed) this.onAttemptFailed(failure);
  }

  private async openConnection(): Promise<Connection> {
    const {url, keepaliveMs, lifetimeMs, connectMs} = this.settings;
    const {user, password} = this.credentials;
    const token = await this.credentials.token();
    const timeout = startTimeout(connectMs);
    const opened = this.connector.open({url, token, user, password, keepaliveMs, lifetimeMs});
    try {
      this.openingConnection = await Promise.race([opened, timeout.passed]);
      const answer = requestOnce(this.openingConnection, "session.info", toBinary(InfoRequestSchema, create(InfoRequestSchema)));
      const sentAtMs = performance.now();
      this.sessionInfo = fromBinary(InfoReplySchema, await Promise.race([answer, timeout.passed]));
      this.roundTripMs = performance.now() - sentAtMs;
      return this.openingConnection;
    } catch (error) {
      void opened.then((connection) => connection.close()).catch(() => undefined);
      throw error;
    } finally {
      this.openingConnection = undefined;
      timeout.clear();
    }
  }

  private onConnected(connection: Connection): void {
    const connectedAtMs = performance.now();
    this.rejectedTokens = 0;
    this.unopenedHandshakes = undefined;
    this.lastError = undefined;
    this.connection = connection;
    this.setState("online");
    connection.onClosed((lost) => {
      if (this.connection !== connection) return;
      this.connection = undefined;
      clearTimeout(this.refreshTimer);
      if (performance.now() - connectedAtMs >= STABLE_MS) this.backoff.reset();
      if (!this.isClosed) this.onAttemptFailed(lost);
    });
    for (const observer of [...this.observers]) {
      if (this.connection === connection) observer.onConnected(connection);
    }
    if (this.connection === connection && this.credentials.isRenewable) {
      if (connection.isLeader) this.scheduleRefresh(connection);
      else connection.onBecomeLeader(() => this.scheduleRefresh(connection));
    }
  }

  /** What an attempt that failed, or a connection that ended, means for the next one. */
  private onAttemptFailed(error: unknown): void {
    const failure = this.permanentFailure(error);
    if (failure) {
      this.shutDown("refused", failure);
      return;
    }
    const reason = error instanceof ApiError || error instanceof ConnectionLostError ? error.text : error instanceof Error ? error.message : String(error);
    const refused = this.originError(error);
    this.lastError = new ApiError(Code.UNAVAILABLE, refused ?? `cannot reach ${this.settings.url}: ${reason}`);
    if (!this.isOnline) {
      this.setState("offline");
      return;
    }
    if (this.state !== "connecting") this.setState("reconnecting");
    if (refused !== undefined && this.unopenedHandshakes === UNOPENED_REPORTED) {
      console.warn(`tidings: ${refused}`);
      this.onStateChange(this.state);
    }
    this.scheduleAttempt(this.backoff.nextDelayMs());
  }

  /**
   * Why the service may never let this page in, once its handshake has failed several times. A browser tells a page nothing
   * about a handshake that failed, so it may as well be that the service does not run.
   */
  private originError(error: unknown): string | undefined {
    if (this.unopenedHandshakes === undefined) return undefined;
    this.unopenedHandshakes = error instanceof ConnectionLostError && error.isUnopened ? this.unopenedHandshakes + 1 : 0;
    const {url} = this.settings;
    const origin = pageOrigin();
    if (this.unopenedHandshakes < UNOPENED_REPORTED || origin === undefined || origin === originOf(url)) return undefined;
    return `${url} has not accepted a connection in ${this.unopenedHandshakes} attempts: either no service runs there, or its setting http.origins does not name ${origin}, where this page is from`;
  }

  /** The next attempt is in `ms`; undefined: none is. */
  private scheduleAttempt(ms: number | undefined): void {
    clearTimeout(this.attemptTimer);
    this.attemptTimer = this.nextAttemptAtMs = undefined;
    if (ms === undefined) return;
    this.nextAttemptAtMs = Date.now() + ms;
    this.attemptTimer = setTimeout(() => {
      this.scheduleAttempt(undefined);
      void this.tryConnect();
    }, ms);
  }

  private permanentFailure(error: unknown): ApiError | undefined {
    const failure = error instanceof ConnectionLostError ? permanentFailure(error) : error instanceof ApiError ? error : undefined;
    if (!failure || shouldRetry(failure, CALL_RETRY_CODES) || failure.code === Code.INTERNAL) return undefined;
    if (failure.code === Code.UNAUTHENTICATED && this.credentials.isRenewable) {
      this.rejectedTokens += 1;
      return this.rejectedTokens >= REJECTED_TOKENS_MAX ? failure : undefined;
    }
    return failure;
  }

  private onNetworkChange(): void {
    if (this.isClosed) return;
    if (!this.isOnline) {
      // A socket may live through a short outage, so a connection that is up is left alone: its lifetime decides.
      if (this.connection) return;
      this.scheduleAttempt(undefined);
      this.setState("offline");
    } else if (this.state === "offline") {
      this.setState("reconnecting");
      void this.tryConnect();
    } else this.retryNow();
  }

  private shutDown(state: ClientState, failure: ApiError): void {
    this.scheduleAttempt(undefined);
    clearTimeout(this.refreshTimer);
    clearTimeout(this.offlineTimer);
    this.lastError = failure;
    const connection = this.connection ?? this.openingConnection;
    this.connection = undefined;
    this.setState(state);
    this.unsubscribeNetwork();
    const followers = [...this.observers];
    this.observers.clear();
    for (const observer of followers) observer.onClosed(failure);
    connection?.close();
    this.connector.dispose?.();
  }

  private setState(state: ClientState): void {
    if (this.state === state && state !== "connecting") return;
    this.state = state;
    this.onStateChange(state);
  }

  private scheduleRefresh(connection: Connection, failedBefore = false): void {
    const {sessionInfo: info} = this;
    if (!info?.expiresAtMs || this.connection !== connection) return;
    // The service's clock, as far as it has told it: ours may be wrong.
    const now = Number(info.nowMs) + (performance.now() - this.receivedAtMs(info));
    const leftMs = Number(info.expiresAtMs) - now;
    const pauseMs = failedBefore ? this.backoff.nextDelayMs() : leftMs * REFRESH_FRACTION;
    this.refreshTimer = setTimeout(() => void this.refreshToken(connection), Math.min(TIMER_MS_MAX, Math.max(REFRESH_MS_MIN, pauseMs)));
  }

  private async refreshToken(connection: Connection): Promise<void> {
    try {
      const token = (await this.credentials.token()) ?? "";
      const request = toBinary(RefreshRequestSchema, create(RefreshRequestSchema, {token}));
      const reply = fromBinary(RefreshReplySchema, await requestOnce(connection, "session.refresh", request));
      if (this.sessionInfo) this.sessionInfo.expiresAtMs = reply.expiresAtMs;
      this.scheduleRefresh(connection);
    } catch (error) {
      // There is time left for another attempt; without one the service ends the connection.
      if (!(error instanceof ConnectionLostError)) this.scheduleRefresh(connection, true);
    }
  }

  private readonly infoReceivedAtMs = new WeakMap<InfoReply, number>();

  /** When this answer came, by our own steady clock. */
  private receivedAtMs(sessionInfo: InfoReply): number {
    const at = this.infoReceivedAtMs.get(sessionInfo) ?? performance.now();
    this.infoReceivedAtMs.set(sessionInfo, at);
    return at;
  }
}

/** The answer to a call on this connection. Rejects with Failure, Lost or Rejected. */
export function requestOnce(connection: Connection, route: string, data: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    connection.requestResponse(route, data, {
      onNext: resolve,
      // A reply that is an empty message may come as the end alone.
      onComplete: () => resolve(new Uint8Array()),
      onError: (error) => reject(classifyError(error)),
    });
  });
}

/** Where this page is from, as a browser tells the service; undefined where there is no page (Node). A file's is "null". */
function pageOrigin(): string | undefined {
  return (globalThis.location as Location | undefined)?.origin;
}

/** The origin of pages that the service at this ws: or wss: address serves itself. */
function originOf(url: string): string {
  return new URL(url.replace(/^ws/i, "http")).origin;
}

function startTimeout(ms: number): {passed: Promise<never>; clear: () => void} {
  let timer: ReturnType<typeof setTimeout>;
  const passed = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms / 1000} s`)), ms);
  });
  passed.catch(() => undefined);
  return {passed, clear: () => clearTimeout(timer)};
}
