import assert from "node:assert/strict";
import {after, before, test} from "node:test";
import WebSocket from "ws";
import type {TidingsClient} from "../src/index.ts";
import {openRoom, TestService, takeItems} from "./test-service.ts";

const REQUEST_STREAM = 0x06;
const REQUEST_N = 0x08;
const CANCEL = 0x09;
const PAYLOAD = 0x0a;

/** Counts, as the frames pass, what every stream was granted and what it was sent. */
class FrameMeter {
  readonly granted = new Map<number, number>();
  readonly sent = new Map<number, number>();
  readonly cancelled = new Set<number>();
  exceeded = false;

  makeSocket = (url: string): globalThis.WebSocket => {
    const socket = new WebSocket(url);
    const send = socket.send.bind(socket);
    socket.send = ((data: Uint8Array) => {
      this.out(data);
      send(data);
    }) as typeof socket.send;
    socket.prependListener("message", (data: Buffer) => this.in(Buffer.from(data)));
    return socket as unknown as globalThis.WebSocket;
  };

  private out(data: Uint8Array): void {
    const frame = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const [id, type] = [frame.getUint32(0), frame.getUint16(4) >> 10];
    if (type === REQUEST_STREAM || type === REQUEST_N) this.granted.set(id, (this.granted.get(id) ?? 0) + frame.getUint32(6));
    if (type === CANCEL) this.cancelled.add(id);
  }

  private in(frame: Buffer): void {
    const [id, type] = [frame.readUInt32BE(0), frame.readUInt16BE(4) >> 10];
    const granted = this.granted.get(id);
    if (type !== PAYLOAD || granted === undefined) return;
    const sent = (this.sent.get(id) ?? 0) + 1;
    this.sent.set(id, sent);
    if (sent > granted) this.exceeded = true;
  }
}

let service: TestService;
let ada: TidingsClient;
const EVENTS = 300;

before(async () => {
  service = await TestService.start();
  ada = service.client("ada");
  await openRoom(ada, "long");
  await Promise.all(Array.from({length: EVENTS}, (_, i) => ada.room("long").send(`message ${i}`)));
});
after(() => service.stop());

test("a watch is never sent more than it asked for, and reads everything", async () => {
  const meter = new FrameMeter();
  const bob = service.client("bob", {makeSocket: meter.makeSocket});
  const events = await takeItems(bob.room("long").watch({after: 0, window: 8}), EVENTS);
  assert.deepEqual(events.map(({seq}) => seq), Array.from({length: EVENTS}, (_, i) => BigInt(i + 1)));
  assert.equal(meter.exceeded, false);
});

test("a consumer that stops is sent its window and nothing more", async () => {
  const meter = new FrameMeter();
  const bob = service.client("bob", {makeSocket: meter.makeSocket});
  const watch = bob.room("long").watch({after: 0, window: 8});
  await watch.next();
  // Two calls there and back: whatever the service wanted to send without demand would have come before the answers.
  await bob.session.ping();
  await bob.session.ping();
  const [sent] = [...meter.sent.values()];
  assert.ok(sent! <= 8, `${sent} items for a window of 8`);
  assert.deepEqual([...meter.granted.values()], [8]);
});

test("leaving a loop cancels the stream", async () => {
  const meter = new FrameMeter();
  const bob = service.client("bob", {makeSocket: meter.makeSocket});
  await takeItems(bob.room("long").watch({after: 0}), 3);
  await bob.session.ping();
  assert.equal(meter.cancelled.size, 1);
});
