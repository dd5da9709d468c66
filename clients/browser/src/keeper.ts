/**
 * Keeps one wire alive: opens it, notices its end, waits a little, opens the next one.
 *
 *     connecting ──up──▶ online ──lost──▶ reconnecting ──up──▶ online …
 *     any of them ──the browser has no network──▶ offline ──it has──▶ reconnecting
 *     any of them ──wrong credentials──▶ refused          any of them ──close()──▶ closed
 *
 * A wire counts as up when the service has answered `session.info` on it: RSocket has no sign of an accepted SETUP, and
 * this one also says when the token runs out. The order at the end of a wire is what everything else relies on: its
 * streams are told first, then the keeper forgets it, then the wait for the next attempt begins.
 */
import {fromBinary, toBinary} from "@bufbuild/protobuf";
import {type InfoReply, InfoReplySchema, InfoRequestSchema, RefreshReplySchema, RefreshRequestSchema} from "./gen/tidings/v1/session_pb.ts";
import {create} from "@bufbuild/protobuf";
import {again, answeredWith, CALL_AGAIN, closed, Code, Failure, Lost, refusal} from "./errors.ts";
import type {Identity} from "./identity.ts";
import type {Network} from "./network.ts";
import {Attempts, type Jitter} from "./reconnect.ts";
import type {Connector, Wire} from "./wire.ts";

/** How the connection is. */
export type State = "connecting" | "online" | "offline" | "reconnecting" | "refused" | "closed";

const REFUSALS_MAX = 3; // a fresh token may have been made a moment too early; three in a row are wrong
const UNOPENED_TOLD = 3; // handshakes in a row that never opened: no hiccup of a network any more
const STEADY_MS = 10_000; // a wire that held for so long was a good one: the attempt after it is the first
const REFRESH_SHARE = 0.8; // of a token's remaining life; the rest is for attempts that fail
const REFRESH_MS_MIN = 100;
const TIMER_MS_MAX = 2_147_483_647;

export interface Settings {
  readonly url: string;
  readonly keepaliveMs: number;
  readonly lifetimeMs: number;
  /** One attempt: socket, handshake, first answer. */
  readonly connectMs: number;
  readonly jitter: Jitter;
}

/** Who uses every wire there will be. */
export interface Follower {
  wireUp(wire: Wire): void;
  wireGoneForGood(failure: Failure): void;
}

export class Keeper {
  state: State = "connecting";
  wire: Wire | undefined;
  info: InfoReply | undefined;
  /** Why there is no wire: of the last attempt, or for good. */
  trouble: Failure | undefined;
  /** There and back, as `session.info` or `session.ping` took it last. */
  roundTripMs: number | undefined;
  /** When the next attempt begins, Unix milliseconds; undefined while none is planned. */
  nextAttemptMs: number | undefined;
  /** The end of what `drop` began, Unix milliseconds. */
  dropEndsMs: number | undefined;
  readonly followers = new Set<Follower>();
  readonly attempts: Attempts;
  private refusals = 0;
  /** Handshakes in a row that never opened, while none ever did; undefined: one did, so this origin is let in. */
  private unopened: number | undefined = 0;
  private opening: Wire | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private dropTimer: ReturnType<typeof setTimeout> | undefined;
  private refreshTimer: ReturnType<typeof setTimeout> | undefined;
  private busy = false;
  private readonly forgetNetwork: () => void;

  constructor(
    readonly settings: Settings,
    private readonly identity: Identity,
    private readonly connector: Connector,
    private readonly network: Network,
    private readonly changed: (state: State) => void,
  ) {
    this.attempts = new Attempts(settings.jitter);
    this.forgetNetwork = network.onChange(() => this.networkChanged());
    connector.onHint?.(() => this.hurry());
  }

  get over(): boolean {
    return this.state === "refused" || this.state === "closed";
  }

  private get online(): boolean {
    return this.dropEndsMs === undefined && this.network.online();
  }

  start(): void {
    if (this.online) void this.attempt();
    else this.become("offline");
  }

  /** Do not wait for the next attempt, make it now. */
  hurry(): void {
    if (this.timer === undefined) return;
    this.plan(undefined);
    void this.attempt();
  }

  /** As if there were no network for `ms` from now on; 0: there is one again. The service sees the connection end. */
  drop(ms: number): void {
    if (this.over) return;
    clearTimeout(this.dropTimer);
    this.dropEndsMs = ms > 0 ? Date.now() + ms : undefined;
    if (ms > 0) this.dropTimer = setTimeout(() => this.drop(0), ms);
    const wire = this.wire ?? this.opening;
    if (ms > 0) wire?.close();
    this.networkChanged();
  }

  close(): void {
    if (this.state !== "closed") this.giveUp("closed", closed());
  }

  follow(follower: Follower): void {
    if (this.over) {
      follower.wireGoneForGood(this.trouble ?? closed());
      return;
    }
    this.followers.add(follower);
    if (this.wire) follower.wireUp(this.wire);
  }

  unfollow(follower: Follower): void {
    this.followers.delete(follower);
  }

  private async attempt(): Promise<void> {
    if (this.busy || this.wire || this.over) return;
    this.busy = true;
    let failed: unknown;
    try {
      const wire = await this.open();
      if (this.over) wire.close();
      else if (this.dropEndsMs === undefined) this.up(wire);
      else {
        wire.close();
        throw new Error("there is no network for a while, as was asked for");
      }
    } catch (error) {
      failed = error;
    }
    this.busy = false;
    if (failed !== undefined && !this.over) this.failed(failed);
  }

  private async open(): Promise<Wire> {
    const {url, keepaliveMs, lifetimeMs, connectMs} = this.settings;
    const {user, password} = this.identity;
    const token = await this.identity.token();
    const late = deadline(connectMs);
    const opened = this.connector.open({url, token, user, password, keepaliveMs, lifetimeMs});
    try {
      this.opening = await Promise.race([opened, late.passed]);
      const answer = ask(this.opening, "session.info", toBinary(InfoRequestSchema, create(InfoRequestSchema)));
      const askedAt = performance.now();
      this.info = fromBinary(InfoReplySchema, await Promise.race([answer, late.passed]));
      this.roundTripMs = performance.now() - askedAt;
      return this.opening;
    } catch (error) {
      void opened.then((wire) => wire.close()).catch(() => undefined);
      throw error;
    } finally {
      this.opening = undefined;
      late.clear();
    }
  }

  private up(wire: Wire): void {
    const upAt = performance.now();
    this.refusals = 0;
    this.unopened = undefined;
    this.trouble = undefined;
    this.wire = wire;
    this.become("online");
    wire.onClosed((lost) => {
      if (this.wire !== wire) return;
      this.wire = undefined;
      clearTimeout(this.refreshTimer);
      if (performance.now() - upAt >= STEADY_MS) this.attempts.reset();
      if (!this.over) this.failed(lost);
    });
    for (const follower of [...this.followers]) {
      if (this.wire === wire) follower.wireUp(wire);
    }
    if (this.wire === wire && this.identity.renewable) {
      if (wire.leads) this.refreshLater(wire);
      else wire.onLead(() => this.refreshLater(wire));
    }
  }

  /** What an attempt that failed, or a wire that ended, means for the next one. */
  private failed(error: unknown): void {
    const failure = this.final(error);
    if (failure) {
      this.giveUp("refused", failure);
      return;
    }
    const reason = error instanceof Failure || error instanceof Lost ? error.text : error instanceof Error ? error.message : String(error);
    const refused = this.originRefused(error);
    this.trouble = new Failure(Code.UNAVAILABLE, refused ?? `cannot reach ${this.settings.url}: ${reason}`);
    if (!this.online) {
      this.become("offline");
      return;
    }
    if (this.state !== "connecting") this.become("reconnecting");
    if (refused !== undefined && this.unopened === UNOPENED_TOLD) {
      console.warn(`tidings: ${refused}`);
      this.changed(this.state);
    }
    this.plan(this.attempts.nextMs());
  }

  /**
   * Why the service may never let this page in, once its handshake has failed several times. A browser tells a page nothing
   * about a handshake that failed, so it may as well be that the service does not run.
   */
  private originRefused(error: unknown): string | undefined {
    if (this.unopened === undefined) return undefined;
    this.unopened = error instanceof Lost && error.unopened ? this.unopened + 1 : 0;
    const {url} = this.settings;
    const origin = pageOrigin();
    if (this.unopened < UNOPENED_TOLD || origin === undefined || origin === originOf(url)) return undefined;
    return `${url} has not accepted a connection in ${this.unopened} attempts: either no service runs there, or its setting http.origins does not name ${origin}, where this page is from`;
  }

  /** The next attempt is in `ms`; undefined: none is. */
  private plan(ms: number | undefined): void {
    clearTimeout(this.timer);
    this.timer = this.nextAttemptMs = undefined;
    if (ms === undefined) return;
    this.nextAttemptMs = Date.now() + ms;
    this.timer = setTimeout(() => {
      this.plan(undefined);
      void this.attempt();
    }, ms);
  }

  private final(error: unknown): Failure | undefined {
    const failure = error instanceof Lost ? refusal(error) : error instanceof Failure ? error : undefined;
    if (!failure || again(failure, CALL_AGAIN) || failure.code === Code.INTERNAL) return undefined;
    if (failure.code === Code.UNAUTHENTICATED && this.identity.renewable) {
      this.refusals += 1;
      return this.refusals >= REFUSALS_MAX ? failure : undefined;
    }
    return failure;
  }

  private networkChanged(): void {
    if (this.over) return;
    if (!this.online) {
      // A socket may live through a short outage, so a wire that is up is left alone: its lifetime decides.
      if (this.wire) return;
      this.plan(undefined);
      this.become("offline");
    } else if (this.state === "offline") {
      this.become("reconnecting");
      void this.attempt();
    } else this.hurry();
  }

  private giveUp(state: State, failure: Failure): void {
    this.plan(undefined);
    clearTimeout(this.refreshTimer);
    clearTimeout(this.dropTimer);
    this.trouble = failure;
    const wire = this.wire ?? this.opening;
    this.wire = undefined;
    this.become(state);
    this.forgetNetwork();
    const followers = [...this.followers];
    this.followers.clear();
    for (const follower of followers) follower.wireGoneForGood(failure);
    wire?.close();
    this.connector.dispose?.();
  }

  private become(state: State): void {
    if (this.state === state && state !== "connecting") return;
    this.state = state;
    this.changed(state);
  }

  private refreshLater(wire: Wire, failedBefore = false): void {
    const {info} = this;
    if (!info?.expiresAtMs || this.wire !== wire) return;
    // The service's clock, as far as it has told it: ours may be wrong.
    const now = Number(info.nowMs) + (performance.now() - this.infoAt(info));
    const leftMs = Number(info.expiresAtMs) - now;
    const pauseMs = failedBefore ? this.attempts.nextMs() : leftMs * REFRESH_SHARE;
    this.refreshTimer = setTimeout(() => void this.refresh(wire), Math.min(TIMER_MS_MAX, Math.max(REFRESH_MS_MIN, pauseMs)));
  }

  private async refresh(wire: Wire): Promise<void> {
    try {
      const token = (await this.identity.token()) ?? "";
      const request = toBinary(RefreshRequestSchema, create(RefreshRequestSchema, {token}));
      const reply = fromBinary(RefreshReplySchema, await ask(wire, "session.refresh", request));
      if (this.info) this.info.expiresAtMs = reply.expiresAtMs;
      this.refreshLater(wire);
    } catch (error) {
      // There is time left for another attempt; without one the service ends the connection.
      if (!(error instanceof Lost)) this.refreshLater(wire, true);
    }
  }

  private readonly seen = new WeakMap<InfoReply, number>();

  /** When this answer came, by our own steady clock. */
  private infoAt(info: InfoReply): number {
    const at = this.seen.get(info) ?? performance.now();
    this.seen.set(info, at);
    return at;
  }
}

/** The answer to a call on this wire. Rejects with Failure, Lost or Rejected. */
export function ask(wire: Wire, route: string, data: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    wire.requestResponse(route, data, {
      next: resolve,
      // A reply that is an empty message may come as the end alone.
      complete: () => resolve(new Uint8Array()),
      error: (error) => reject(answeredWith(error)),
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

function deadline(ms: number): {passed: Promise<never>; clear: () => void} {
  let timer: ReturnType<typeof setTimeout>;
  const passed = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms / 1000} s`)), ms);
  });
  passed.catch(() => undefined);
  return {passed, clear: () => clearTimeout(timer)};
}
