/**
 * What the panel shows, read four times a second while it is open: an inspection of the client, what changed since the one
 * a second ago, and the last minute of it. While nobody looks nothing is read.
 */
import {batch, signal} from "@preact/signals";
import {inspect, type Inspection, type StreamInspection, type Tidings} from "@tidings/client";
import {roomOf} from "../model/rooms.ts";
import {chosen} from "../route.ts";
import {clockRead, nowMs} from "./latency.ts";

export const MINUTE_MS = 60_000;
const READ_EVERY_MS = 250; // as often as numbers can be read by a person
const RATE_OVER_MS = 1_000;
const CLOCK_EVERY_MS = 5_000;
const CLOCK_MS_MAX = 5_000; // a slower answer says nothing about the clock

/** A second's worth of traffic. */
export interface Rates {
  readonly framesIn: number;
  readonly framesOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** One reading of the past. */
export interface Point extends Rates {
  readonly atMs: number;
  /** How far the open room's reader is behind; undefined: no room is open, or nothing is known of its head. */
  readonly lag: number | undefined;
}

export const now = signal<Inspection | undefined>(undefined);
/** Of the last minute, oldest first. */
export const past = signal<readonly Point[]>([]);

const NOTHING: Rates = {framesIn: 0, framesOut: 0, bytesIn: 0, bytesOut: 0};

/** How many events of its room the stream's reader has not taken; undefined: not a room, or its head is not known. */
export function lagOf({route, about, position}: StreamInspection): number | undefined {
  const head = route === "chat.watch" ? roomOf(about)?.head : undefined;
  return head === undefined || position === undefined ? undefined : Math.max(0, Number(head - position));
}

/** Begin to read; call what is returned to stop. */
export function read(client: Tidings): () => void {
  let over = false;
  let totals: {atMs: number; of: Inspection["connection"]}[] = [];
  const take = async (): Promise<void> => {
    const found = await inspect(client);
    if (over) return;
    const atMs = nowMs();
    const {connection} = found;
    totals = totals.filter(({of, atMs: then}) => of?.sinceMs === connection?.sinceMs && atMs - then <= RATE_OVER_MS * 1.5);
    totals.push({atMs, of: connection});
    const point = {atMs, ...rates(totals), lag: lagHere(found)};
    batch(() => {
      now.value = found;
      past.value = [...past.peek().filter((old) => atMs - old.atMs < MINUTE_MS), point];
    });
  };
  const clock = async (): Promise<void> => {
    if (client.state !== "online") return;
    const askedAtMs = nowMs();
    const info = await client.session.info();
    const answeredAtMs = nowMs();
    if (answeredAtMs - askedAtMs < CLOCK_MS_MAX) clockRead(askedAtMs, Number(info.nowMs), answeredAtMs);
  };
  // What fails says so in the state; the next reading is a moment away.
  const quietly = (what: () => Promise<void>) => () => void what().catch(() => undefined);
  const timers = [setInterval(quietly(take), READ_EVERY_MS), setInterval(quietly(clock), CLOCK_EVERY_MS)];
  quietly(take)();
  quietly(clock)();
  return () => {
    over = true;
    timers.forEach(clearInterval);
    batch(() => {
      now.value = undefined;
      past.value = [];
    });
  };
}

function rates(totals: readonly {atMs: number; of: Inspection["connection"]}[]): Rates {
  const [first, last] = [totals[0]!, totals.at(-1)!];
  if (!first.of || !last.of || last.atMs === first.atMs) return NOTHING;
  const {of: from} = first;
  const {of: to} = last;
  const perSecond = (name: keyof Rates) => ((to[name] - from[name]) * 1000) / (last.atMs - first.atMs);
  return {framesIn: perSecond("framesIn"), framesOut: perSecond("framesOut"), bytesIn: perSecond("bytesIn"), bytesOut: perSecond("bytesOut")};
}

function lagHere({streams}: Inspection): number | undefined {
  const here = chosen.peek()?.room;
  const lags = streams.filter(({about}) => about === here).map(lagOf);
  return lags.reduce((most, lag) => (lag === undefined ? most : Math.max(lag, most ?? 0)), undefined);
}
