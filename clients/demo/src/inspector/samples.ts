/**
 * The data of the inspector, sampled four times a second while it is open: an inspection of the client, rates over the last
 * second, and the samples of the last minute. While the inspector is closed nothing is sampled.
 */
import {batch, signal} from "@preact/signals";
import {inspect, type Inspection, type StreamInspection, type TidingsClient} from "@tidings/client";
import {roomOf} from "../rooms/rooms.ts";
import {currentRoute} from "../navigation/route.ts";
import {addClockSample, nowMs} from "./latency.ts";

export const MINUTE_MS = 60_000;
const SAMPLE_INTERVAL_MS = 250; // as often as people can read changing numbers
const RATE_WINDOW_MS = 1_000;
const CLOCK_INTERVAL_MS = 5_000;
const CLOCK_ROUND_TRIP_MS_MAX = 5_000; // a slower reply says nothing about the clock

/** Traffic per second. */
export interface Rates {
  readonly framesIn: number;
  readonly framesOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** One sample. */
export interface Sample extends Rates {
  readonly atMs: number;
  /** The lag of the open room; undefined: no room is open, or its head is not known. */
  readonly lag: number | undefined;
}

export const currentInspection = signal<Inspection | undefined>(undefined);
/** The last minute, oldest first. */
export const samples = signal<readonly Sample[]>([]);

const ZERO_RATES: Rates = {framesIn: 0, framesOut: 0, bytesIn: 0, bytesOut: 0};

/** How many events of the room the page has not read; undefined: not a room's stream, or its head is not known. */
export function lagOf({route, subject, position}: StreamInspection): number | undefined {
  const head = route === "chat.watch" ? roomOf(subject)?.head : undefined;
  return head === undefined || position === undefined ? undefined : Math.max(0, Number(head - position));
}

/** Start sampling; call the result to stop. */
export function startSampling(client: TidingsClient): () => void {
  let stopped = false;
  let totals: {atMs: number; of: Inspection["connection"]}[] = [];
  const sample = async (): Promise<void> => {
    const inspection = await inspect(client);
    if (stopped) return;
    const atMs = nowMs();
    const {connection} = inspection;
    totals = totals.filter(({of, atMs: then}) => of?.sinceMs === connection?.sinceMs && atMs - then <= RATE_WINDOW_MS * 1.5);
    totals.push({atMs, of: connection});
    const point = {atMs, ...ratesBetween(totals), lag: openRoomLag(inspection)};
    batch(() => {
      currentInspection.value = inspection;
      samples.value = [...samples.peek().filter((old) => atMs - old.atMs < MINUTE_MS), point];
    });
  };
  const clock = async (): Promise<void> => {
    if (client.state !== "online") return;
    const requestedAtMs = nowMs();
    const info = await client.session.info();
    const repliedAtMs = nowMs();
    if (repliedAtMs - requestedAtMs < CLOCK_ROUND_TRIP_MS_MAX) addClockSample(requestedAtMs, Number(info.nowMs), repliedAtMs);
  };
  // Errors show in the connection state; the next sample follows shortly.
  const ignoreErrors = (what: () => Promise<void>) => () => void what().catch(() => undefined);
  const timers = [setInterval(ignoreErrors(sample), SAMPLE_INTERVAL_MS), setInterval(ignoreErrors(clock), CLOCK_INTERVAL_MS)];
  ignoreErrors(sample)();
  ignoreErrors(clock)();
  return () => {
    stopped = true;
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
  const openRoom = currentRoute.peek()?.room;
  const lags = streams.filter(({subject}) => subject === openRoom).map(lagOf);
  return lags.reduce((most, lag) => (lag === undefined ? most : Math.max(lag, most ?? 0)), undefined);
}
