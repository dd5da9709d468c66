/**
 * What the panel shows, read four times a second while it is open: an inspection of the client, what changed since the one
 * a second ago, and the last minute of it. While nobody looks nothing is read.
 */
import {batch, signal} from "@preact/signals";
import {inspect, type Inspection, type StreamInspection, type TidingsClient} from "@tidings/client";
import {roomOf} from "../rooms/rooms.ts";
import {currentRoute} from "../navigation/route.ts";
import {addClockSample, nowMs} from "./latency.ts";

export const MINUTE_MS = 60_000;
const SAMPLE_INTERVAL_MS = 250; // as often as numbers can be read by a person
const RATE_WINDOW_MS = 1_000;
const CLOCK_INTERVAL_MS = 5_000;
const CLOCK_ROUND_TRIP_MS_MAX = 5_000; // a slower answer says nothing about the clock

/** A second's worth of traffic. */
export interface Rates {
  readonly framesIn: number;
  readonly framesOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** One reading of the past. */
export interface Sample extends Rates {
  readonly atMs: number;
  /** How far the open room's reader is behind; undefined: no room is open, or nothing is known of its head. */
  readonly lag: number | undefined;
}

export const currentInspection = signal<Inspection | undefined>(undefined);
/** Of the last minute, oldest first. */
export const samples = signal<readonly Sample[]>([]);

const ZERO_RATES: Rates = {framesIn: 0, framesOut: 0, bytesIn: 0, bytesOut: 0};

/** How many events of its room the stream's reader has not taken; undefined: not a room, or its head is not known. */
export function lagOf({route, subject: about, position}: StreamInspection): number | undefined {
  const head = route === "chat.watch" ? roomOf(about)?.head : undefined;
  return head === undefined || position === undefined ? undefined : Math.max(0, Number(head - position));
}

/** Begin to read; call what is returned to stop. */
export function startSampling(client: TidingsClient): () => void {
  let over = false;
  let totals: {atMs: number; of: Inspection["connection"]}[] = [];
  const take = async (): Promise<void> => {
    const found = await inspect(client);
    if (over) return;
    const atMs = nowMs();
    const {connection} = found;
    totals = totals.filter(({of, atMs: then}) => of?.sinceMs === connection?.sinceMs && atMs - then <= RATE_WINDOW_MS * 1.5);
    totals.push({atMs, of: connection});
    const point = {atMs, ...ratesBetween(totals), lag: openRoomLag(found)};
    batch(() => {
      currentInspection.value = found;
      samples.value = [...samples.peek().filter((old) => atMs - old.atMs < MINUTE_MS), point];
    });
  };
  const clock = async (): Promise<void> => {
    if (client.state !== "online") return;
    const askedAtMs = nowMs();
    const info = await client.session.info();
    const answeredAtMs = nowMs();
    if (answeredAtMs - askedAtMs < CLOCK_ROUND_TRIP_MS_MAX) addClockSample(askedAtMs, Number(info.nowMs), answeredAtMs);
  };
  // What fails says so in the state; the next reading is a moment away.
  const quietly = (what: () => Promise<void>) => () => void what().catch(() => undefined);
  const timers = [setInterval(quietly(take), SAMPLE_INTERVAL_MS), setInterval(quietly(clock), CLOCK_INTERVAL_MS)];
  quietly(take)();
  quietly(clock)();
  return () => {
    over = true;
    timers.forEach(clearInterval);
    batch(() => {
      currentInspection.value = undefined;
      samples.value = [];
    });
  };
}

function ratesBetween(totals: readonly {atMs: number; of: Inspection["connection"]}[]): Rates {
  const [first, last] = [totals[0]!, totals.at(-1)!];
  if (!first.of || !last.of || last.atMs === first.atMs) return ZERO_RATES;
  const {of: from} = first;
  const {of: to} = last;
  const perSecond = (name: keyof Rates) => ((to[name] - from[name]) * 1000) / (last.atMs - first.atMs);
  return {framesIn: perSecond("framesIn"), framesOut: perSecond("framesOut"), bytesIn: perSecond("bytesIn"), bytesOut: perSecond("bytesOut")};
}

function openRoomLag({streams}: Inspection): number | undefined {
  const here = currentRoute.peek()?.room;
  const lags = streams.filter(({subject: about}) => about === here).map(lagOf);
  return lags.reduce((most, lag) => (lag === undefined ? most : Math.max(lag, most ?? 0)), undefined);
}
