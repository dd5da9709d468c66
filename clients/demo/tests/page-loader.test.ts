import assert from "node:assert/strict";
import {test} from "node:test";
import type {Room} from "@tidings/client";
import {PageLoader} from "../src/conversation/model/page-loader.ts";
import {TimelineWindow} from "../src/conversation/model/timeline-window.ts";
import {postedRange} from "./log-events.ts";

/** A room whose log holds m1 to m<head>; `hold` delays its replies until `release`. */
class FakeRoom {
  readonly requests: string[] = [];
  private gate: Promise<void> = Promise.resolve();
  release: () => void = () => undefined;
  fails = false;

  constructor(private readonly head: number) {}

  hold(): void {
    this.gate = new Promise((resolve) => (this.release = resolve));
  }

  history = (async ({before, after, limit = 50}: {before?: number; after?: number; limit?: number}) => {
    this.requests.push(before !== undefined ? `before ${before}` : after !== undefined ? `after ${after}` : "newest");
    await this.gate;
    if (this.fails) throw new Error("no connection");
    const to = before !== undefined ? before - 1 : after !== undefined ? Math.min(this.head, after + limit) : this.head;
    const from = after !== undefined ? after + 1 : Math.max(1, to - limit + 1);
    const more = after !== undefined ? to < this.head : from > 1;
    return {events: postedRange(from, to), more, head: {seq: BigInt(this.head)}};
  }) as unknown as Room["history"];
}

/** A loader over a timeline that shows m<from> to m<to> of `head`. */
function start(from: number, to: number, head: number) {
  const room = new FakeRoom(head);
  const timeline = new TimelineWindow();
  timeline.replace(postedRange(from, to), {asOf: head});
  const host = {draws: 0, errors: [] as unknown[], closed: false};
  const pages = new PageLoader(room, timeline, {
    draw: () => void (host.draws += 1),
    showError: (error) => void host.errors.push(error),
    isClosed: () => host.closed,
  });
  const shown = () => [timeline.from, timeline.to];
  return {room, timeline, host, pages, shown};
}

/** Until no page is loading. */
async function settled(pages: PageLoader): Promise<void> {
  while (pages.loadingPart.value) await new Promise((resolve) => setTimeout(resolve));
}

test("a jump loads the messages around the target, and newer pages lead back to the end", async () => {
  const {room, timeline, pages, shown} = start(251, 300, 300);
  pages.jumpTo(50);
  assert.equal(pages.loadingPart.value, "around");
  await settled(pages);
  assert.deepEqual(pages.scrollTarget.value, {seq: 50});
  assert.deepEqual(shown(), [26, 75]);
  assert.ok(!timeline.isAtEnd);
  while (!timeline.isAtEnd) await pages.loadNewer();
  assert.deepEqual(shown(), [26, 300]);
  assert.deepEqual(timeline.entries.map(({seq}) => seq), postedRange(26, 300).map(({seq}) => Number(seq)));
  assert.deepEqual(room.requests.slice(0, 2), ["before 51", "after 50"]);
});

test("a jump to a message on the page loads nothing", () => {
  const {room, pages} = start(251, 300, 300);
  pages.jumpTo(260);
  assert.deepEqual([pages.scrollTarget.value, room.requests], [{seq: 260}, []]);
});

test("from an earlier position one step leads to the newest message", async () => {
  const {timeline, pages, shown} = start(1, 50, 300);
  assert.ok(!timeline.isAtEnd);
  pages.jumpToNewest();
  await settled(pages);
  assert.deepEqual([pages.scrollTarget.value, shown()], [{seq: Infinity}, [251, 300]]);
});

test("a reply to a request of an earlier position is dropped", async () => {
  const {room, pages, host, shown} = start(251, 300, 300);
  room.hold();
  const older = pages.loadOlder();
  const {release} = room;
  room.hold();
  pages.jumpTo(50);
  room.release();
  await settled(pages);
  release();
  await older;
  assert.deepEqual(shown(), [26, 75]);
  assert.equal(host.draws, 1);
});

test("one page loads at a time", async () => {
  const {room, pages} = start(251, 300, 300);
  await Promise.all([pages.loadOlder(), pages.loadOlder()]);
  assert.deepEqual(room.requests, ["before 251"]);
});

test("a page that fails to load is reported and can be loaded again", async () => {
  const {room, pages, host, shown} = start(251, 300, 300);
  room.fails = true;
  await pages.loadOlder();
  assert.deepEqual([pages.hasLoadError.value, pages.loadingPart.value, host.errors.length], [true, undefined, 0]);
  pages.jumpTo(10);
  await settled(pages);
  assert.equal(host.errors.length, 1, "a failed jump shows its error");
  room.fails = false;
  await pages.loadOlder();
  assert.deepEqual([pages.hasLoadError.value, shown()], [false, [151, 300]]);
});

test("a closed conversation loads nothing", async () => {
  const {room, pages, host} = start(251, 300, 300);
  host.closed = true;
  await pages.loadOlder();
  pages.jumpTo(10);
  assert.deepEqual(room.requests, []);
});
