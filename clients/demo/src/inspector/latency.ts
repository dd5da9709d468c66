/**
 * From the service's clock to this screen: how long an event took to be seen.
 *
 * The event carries when the service wrote it, by the service's clock; ours may be off by minutes. How far is estimated as
 * in NTP: the service is asked for its time, and is taken to have read it half-way between question and answer. The
 * estimate with the shortest way there and back is the best one, so that one is kept, and forgotten slowly.
 */
import {signal} from "@preact/signals";

const SAMPLES_MAX = 100;
const CLOCK_DIFFERENCE_MIN_MS = 1_000; // a page reads its clock and the service's in whole milliseconds, late by what else it does
const ESTIMATE_AGING = 0.01; // a kept estimate counts as 1 % worse with each later one: clocks drift, routes change

export interface Latency {
  readonly lastMs: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly samples: number;
}

/** Of the last 100 events; undefined until the service's clock is known and one was seen. */
export const latency = signal<Latency | undefined>(undefined);

/** Our clock: wall time that never jumps while the page lives. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** How far the service's clock is ahead of ours, and how long the question took that this was learned from. */
export interface ClockEstimate {
  readonly offsetMs: number;
  readonly roundTripMs: number;
}

let bestEstimate: ClockEstimate | undefined;
const samples: number[] = [];

/** Why nothing can be measured: what arrives now, or happens now, is late because of this side. */
export type PauseReason = "hidden" | "reading slowly" | "not connected";
const pauses = new Set<PauseReason>();
let measuredFromMs = 0;

/** Measuring stops, or goes on. Events from before the end of a pause waited for it and are not measured. */
export function pauseMeasuring(why: PauseReason, on: boolean): void {
  if (on) pauses.add(why);
  else if (pauses.delete(why)) measuredFromMs = nowMs();
}

if (typeof document !== "undefined") {
  document.addEventListener("visibilitychange", () => pauseMeasuring("hidden", document.visibilityState !== "visible"));
}

/** The service said `serviceMs` somewhere between these two moments of `nowMs()`. */
export function addClockSample(askedAtMs: number, serviceMs: number, answeredAtMs: number): void {
  const roundTripMs = answeredAtMs - askedAtMs;
  if (bestEstimate) bestEstimate = {...bestEstimate, roundTripMs: bestEstimate.roundTripMs * (1 + ESTIMATE_AGING)};
  if (bestEstimate && bestEstimate.roundTripMs < roundTripMs) return;
  bestEstimate = {roundTripMs, offsetMs: serviceMs - (askedAtMs + answeredAtMs) / 2};
}

/** The best estimate there is; undefined: none yet. */
export function clockEstimate(): ClockEstimate | undefined {
  return bestEstimate;
}

/** How far the service's clock is ahead of ours; undefined: not known, or no more than a good clock or the estimate is off. */
export function clockDifferenceMs(estimate: ClockEstimate | undefined): number | undefined {
  if (!estimate) return undefined;
  const {offsetMs, roundTripMs} = estimate;
  return Math.abs(offsetMs) < Math.max(CLOCK_DIFFERENCE_MIN_MS, roundTripMs / 2) ? undefined : offsetMs;
}

/** A live event has been painted. */
export function eventPainted({atMs}: {readonly atMs: bigint | number}): void {
  if (!bestEstimate || pauses.size) return;
  const wasAtMs = Number(atMs) - bestEstimate.offsetMs;
  if (wasAtMs < measuredFromMs) return;
  // The estimate may be half a way too far; nothing is seen before it happened.
  const tookMs = Math.max(0, nowMs() - wasAtMs);
  samples.push(tookMs);
  if (samples.length > SAMPLES_MAX) samples.shift();
  const sorted = [...samples].sort((a, b) => a - b);
  const share = (part: number) => sorted[Math.ceil(sorted.length * part) - 1]!;
  latency.value = {lastMs: tookMs, p50Ms: share(0.5), p95Ms: share(0.95), samples: sorted.length};
}
