import assert from "node:assert/strict";
import {test} from "node:test";
import {clockDifferenceMs, addClockSample, latency, nowMs, type PauseReason, pauseMeasuring, eventPainted} from "../src/inspector/latency.ts";
import {readThrottle} from "../src/inspector/read-throttle.ts";

/** The service's clock is ours here. */
const event = (agoMs: number) => ({atMs: nowMs() - agoMs});

test("events that waited for this page are not measured", () => {
  addClockSample(nowMs(), nowMs(), nowMs());
  eventPainted(event(5));
  assert.equal(latency.value?.samples, 1);
  for (const why of ["hidden", "reading slowly", "not connected"] as PauseReason[]) {
    pauseMeasuring(why, true);
    eventPainted(event(1));
    pauseMeasuring(why, false);
    eventPainted(event(28_000));
    assert.equal(latency.value?.samples, 1, why);
  }
  eventPainted({atMs: nowMs() + 1});
  assert.equal(latency.value?.samples, 2, "what happens after a pause is measured again");
});

test("one pause continues when another ends", () => {
  const before = latency.value?.samples;
  pauseMeasuring("hidden", true);
  pauseMeasuring("not connected", true);
  pauseMeasuring("hidden", false);
  eventPainted({atMs: nowMs() + 1});
  assert.equal(latency.value?.samples, before);
  pauseMeasuring("not connected", false);
});

test("while reading is slow or stopped, nothing is measured", () => {
  const before = latency.value?.samples;
  for (const reading of [{how: "stopped"}, {how: "slowly", perSecond: 1}] as const) {
    readThrottle.setSpeed(reading);
    eventPainted({atMs: nowMs() + 1});
    readThrottle.setSpeed({mode: "freely"});
    eventPainted(event(1_000));
  }
  assert.equal(latency.value?.samples, before);
});

test("a clock difference is shown from one second on, and not below half the round trip", () => {
  const serverConfig = (offsetMs: number, roundTripMs: number) => clockDifferenceMs({offsetMs, roundTripMs});
  assert.deepEqual([serverConfig(-89, 4), serverConfig(89, 4), serverConfig(-999, 4)], [undefined, undefined, undefined]);
  assert.deepEqual([serverConfig(-1_000, 4), serverConfig(60_000, 4)], [-1_000, 60_000]);
  assert.deepEqual([serverConfig(1_900, 4_000), serverConfig(-2_000, 4_000)], [undefined, -2_000]);
  assert.equal(clockDifferenceMs(undefined), undefined);
});
