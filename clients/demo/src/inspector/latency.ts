/**
 * Measures the latency of events, from the service's log to this screen.
 *
 * An event carries the time of the service's clock; the clock of this device may be off by minutes. The difference is
 * estimated as in NTP: the service is assumed to have read its clock half-way between request and reply. The estimate with
 * the shortest round trip is the best one, so it is kept and ages slowly.
 */
import {signal} from "@preact/signals";

const SAMPLES_MAX = 100;
const CLOCK_DIFFERENCE_MIN_MS = 1_000; // both clocks are read in whole milliseconds, and late while the page is busy
const ESTIMATE_AGING = 0.01; // each later sample makes the kept estimate count as 1 % worse, because clocks drift and routes change

export interface Latency {
  readonly lastMs: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly samples: number;
}

/** Over the last 100 events; undefined until the clock difference is known and an event was painted. */
export const latency = signal<Latency | undefined>(undefined);

/** The clock of this device: wall-clock time that does not jump while the page is open. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** How far the service's clock is ahead, and the round trip of the request that measured it. */
export interface ClockEstimate {
  readonly offsetMs: number;
  readonly roundTripMs: number;
}

let bestEstimate: ClockEstimate | undefined;
const samples: number[] = [];

/** Why measuring is paused: events are late because of this page, not because of the service. */
export type PauseReason = "hidden" | "reading slowly" | "not connected";
const pauses = new Set<PauseReason>();
let measuredFromMs = 0;

/** Pause or resume measuring. Events older than the end of a pause are not measured. */
export function pauseMeasuring(why: PauseReason, on: boolean): void {
  if (on) pauses.add(why);
  else if (pauses.delete(why)) measuredFromMs = nowMs();
}

if (typeof document !== "undefined") {
  document.addEventListener("visibilitychange", () => pauseMeasuring("hidden", document.visibilityState !== "visible"));
}

/** The service read `serviceMs` from its clock between these two times of `nowMs()`. */
export function addClockSample(requestedAtMs: number, serviceMs: number, repliedAtMs: number): void {
  const roundTripMs = repliedAtMs - requestedAtMs;
  if (bestEstimate) bestEstimate = {...bestEstimate, roundTripMs: bestEstimate.roundTripMs * (1 + ESTIMATE_AGING)};
  if (bestEstimate && bestEstimate.roundTripMs < roundTripMs) return;
  bestEstimate = {roundTripMs, offsetMs: serviceMs - (requestedAtMs + repliedAtMs) / 2};
}

/** The best estimate; undefined: none yet. */
export function clockEstimate(): ClockEstimate | undefined {
  return bestEstimate;
}

/** How far the service's clock is ahead; undefined: not known, or within the error of the estimate. */
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
  // The estimate may be off by half a round trip; a latency is never negative.
  const tookMs = Math.max(0, nowMs() - wasAtMs);
  samples.push(tookMs);
  if (samples.length > SAMPLES_MAX) samples.shift();
  const sorted = [...samples].sort((a, b) => a - b);
  const share = (part: number) => sorted[Math.ceil(sorted.length * part) - 1]!;
  latency.value = {lastMs: tookMs, p50Ms: share(0.5), p95Ms: share(0.95), samples: sorted.length};
}
