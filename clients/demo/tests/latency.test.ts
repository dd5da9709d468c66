import assert from "node:assert/strict";
import {test} from "node:test";
import {clockDifferenceMs, clockRead, latency, nowMs, type Pause, pauseMeasuring, shown} from "../src/wire/latency.ts";
import {pace} from "../src/wire/pace.ts";

/** The service's clock is ours here. */
const event = (agoMs: number) => ({atMs: nowMs() - agoMs});

test("what waited for this side is no latency", () => {
  clockRead(nowMs(), nowMs(), nowMs());
  shown(event(5));
  assert.equal(latency.value?.samples, 1);
  for (const why of ["hidden", "reading slowly", "not connected"] as Pause[]) {
    pauseMeasuring(why, true);
    shown(event(1));
    pauseMeasuring(why, false);
    shown(event(28_000));
    assert.equal(latency.value?.samples, 1, why);
  }
  shown({atMs: nowMs() + 1});
  assert.equal(latency.value?.samples, 2, "what happens after a pause is measured again");
});

test("one pause goes on when another ends", () => {
  const before = latency.value?.samples;
  pauseMeasuring("hidden", true);
  pauseMeasuring("not connected", true);
  pauseMeasuring("hidden", false);
  shown({atMs: nowMs() + 1});
  assert.equal(latency.value?.samples, before);
  pauseMeasuring("not connected", false);
});

test("who stops reading, or reads slowly, measures nothing until they read freely again", () => {
  const before = latency.value?.samples;
  for (const reading of [{how: "stopped"}, {how: "slowly", perSecond: 1}] as const) {
    pace.read(reading);
    shown({atMs: nowMs() + 1});
    pace.read({how: "freely"});
    shown(event(1_000));
  }
  assert.equal(latency.value?.samples, before);
});

test("a difference between the clocks is told from a second on, and not below half the round trip", () => {
  const told = (offsetMs: number, roundTripMs: number) => clockDifferenceMs({offsetMs, roundTripMs});
  assert.deepEqual([told(-89, 4), told(89, 4), told(-999, 4)], [undefined, undefined, undefined]);
  assert.deepEqual([told(-1_000, 4), told(60_000, 4)], [-1_000, 60_000]);
  assert.deepEqual([told(1_900, 4_000), told(-2_000, 4_000)], [undefined, -2_000]);
  assert.equal(clockDifferenceMs(undefined), undefined);
});
