import assert from "node:assert/strict";
import {after, before, test} from "node:test";
import {simulateOffline, inspect, type ClientState} from "../src/index.ts";
import {openRoom, TestService, takeItems, textOf, waitUntil} from "./test-service.ts";

let service: TestService;

before(async () => {
  service = await TestService.start();
});
after(() => service.stop());

test("an inspection shows each stream's credit, what is held and where the reader is", async () => {
  const ada = service.client("ada");
  await openRoom(ada, "seen");
  for (let i = 0; i < 20; i++) await ada.room("seen").send(`message ${i}`);
  const watch = ada.room("seen").watch({after: 0, window: 8});
  await takeItems(withoutReturn(watch), 2);
  await waitUntil(async () => (await inspect(ada)).streams[0]?.credit === 0, "the credit is spent");
  const {state, streams, roundTripMs, attempts, pending} = await inspect(ada);
  assert.deepEqual([state, attempts, pending], ["online", 0, 0]);
  assert.ok(roundTripMs! > 0);
  const [{route, subject: about, requested: asked, credit, received, buffered: held, position, receivedPosition: arrived, openedStreams: opened, isStreaming: open, bytes}] = streams as [(typeof streams)[0]];
  assert.deepEqual({route, about, asked, credit, received, held, position, arrived, opened, open}, {
    ...{route: "chat.watch", about: "seen", asked: 8, credit: 0, received: 8, held: 6, position: 2n, arrived: 8n},
    ...{opened: 1, open: true},
  });
  assert.ok(bytes > 8 * "message 0".length);
  watch.close();
  assert.deepEqual((await inspect(ada)).streams, []);
});

test("an item that is here is held until it is taken, also by who waited for it", async () => {
  const ada = service.client("ada");
  await openRoom(ada, "waited-for");
  const {head} = await ada.room("waited-for").history({limit: 1});
  const watch = ada.room("waited-for").items({after: head!});
  await watch.next(); // that it is live
  const arrival = watch.waitForItem();
  const {cursor} = await ada.room("waited-for").send("the first");
  assert.equal(await arrival, true);
  const [before] = (await inspect(ada)).streams;
  assert.deepEqual([before!.buffered, before!.position, before!.receivedPosition], [1, head!.seq, cursor!.seq]);
  await watch.next();
  const [after] = (await inspect(ada)).streams;
  assert.deepEqual([after!.buffered, after!.position], [0, cursor!.seq]);
  const end = watch.waitForItem();
  watch.close();
  assert.equal(await end, false);
});

test("frames and bytes are counted at the socket", async () => {
  const ada = service.client("ada");
  await ada.session.ping();
  const before = (await inspect(ada)).connection!;
  await ada.session.ping();
  const after = (await inspect(ada)).connection!;
  assert.deepEqual([after.sharing, after.tabs, after.sinceMs], ["own", 1, before.sinceMs]);
  assert.deepEqual([after.framesIn - before.framesIn, after.framesOut - before.framesOut], [1, 1]);
  assert.ok(after.bytesOut - before.bytesOut > 6 && after.bytesIn - before.bytesIn >= 6);
});

test("a client that is dropped is offline, says until when, and then misses nothing", async () => {
  const [ada, bob] = [service.client("ada"), service.client("bob")];
  await openRoom(ada, "dropped");
  const seqs: bigint[] = [];
  const states: ClientState[] = [];
  bob.room("dropped").on("event", (event) => seqs.push(event.seq));
  await ada.room("dropped").send("before");
  await waitUntil(() => seqs.length >= 1, "the first one");
  bob.on("state", (state) => states.push(state));
  const come = simulateOffline(bob, 3_600_000);
  assert.equal(bob.state, "offline");
  for (let i = 0; i < 100; i++) await ada.room("dropped").send(`meanwhile ${i}`);
  const {state, connection, offlineUntilMs: dropEndsMs, streams} = await inspect(bob);
  assert.deepEqual([state, connection, streams[0]!.isStreaming], ["offline", undefined, false]);
  assert.ok(dropEndsMs! > Date.now());
  const {head} = await ada.room("dropped").history({limit: 1});
  come();
  come();
  await waitUntil(() => seqs.at(-1) === head!.seq, "all of it");
  assert.deepEqual(seqs, seqs.map((_, i) => BigInt(i + 1)));
  assert.deepEqual(states, ["offline", "reconnecting", "online"]);
  const [stream] = (await inspect(bob)).streams;
  assert.deepEqual([stream!.openedStreams, stream!.isStreaming], [2, true]);
});

test("a simulateOffline ends by itself", async () => {
  const ada = service.client("ada");
  await ada.session.ping();
  simulateOffline(ada, 50);
  assert.equal(ada.state, "offline");
  await ada.session.ping();
  assert.equal((await inspect(ada)).offlineUntilMs, undefined);
});

test("a watch that nobody knows any more ends on the service", async () => {
  const ada = service.client("ada");
  await openRoom(ada, "forgotten");
  await (async () => {
    const watch = ada.room("forgotten").watch({after: 0});
    await watch.next();
  })();
  assert.equal((await inspect(ada)).streams.length, 1);
  await waitUntil(async () => {
    (globalThis as unknown as {gc: () => void}).gc();
    return (await inspect(ada)).streams.length === 0;
  }, "the stream has ended");
});

/** The watch, without its end: leaving the loop ends nothing. */
function withoutReturn<T>(values: AsyncIterableIterator<T>): AsyncIterable<T> {
  return {[Symbol.asyncIterator]: () => ({next: () => values.next()})};
}

test("a tab's inspection tells of the shared connection, and a simulateOffline of one tab leaves the others theirs", async () => {
  const {tabs, opened} = await sharedTabs(3);
  await openRoom(tabs[0]!, "one-of-three");
  const texts: (string | undefined)[] = [];
  tabs[2]!.room("one-of-three").on("event", (event) => textOf(event) && texts.push(textOf(event)));
  await Promise.all(tabs.map((tab) => tab.session.ping()));
  const {connection} = await inspect(tabs[1]!);
  assert.deepEqual([connection!.sharing, connection!.tabs], ["worker", 3]);
  const come = simulateOffline(tabs[0]!, 3_600_000);
  await tabs[1]!.room("one-of-three").send("still here");
  await waitUntil(() => texts.length === 1, "the third tab reads on");
  assert.deepEqual([tabs[0]!.state, (await inspect(tabs[1]!)).connection!.tabs], ["offline", 2]);
  come();
  await tabs[0]!.session.ping();
  assert.deepEqual([opened(), (await inspect(tabs[0]!)).connection!.tabs], [1, 3]);
});

async function sharedTabs(count: number) {
  const {ConnectionHost} = await import("../src/shared/connection-host.ts");
  const {pipeOverPort: portLine} = await import("../src/shared/protocol.ts");
  const {TabConnector} = await import("../src/shared/tab-connection.ts");
  const {directConnector} = await import("../src/index.ts");
  const {makeSocket} = await import("./test-service.ts");
  let opened = 0;
  const own = directConnector(makeSocket);
  const host = new ConnectionHost({open: (setup) => ((opened += 1), own.open(setup))});
  const tabs = Array.from({length: count}, () => {
    const {port1, port2} = new MessageChannel() as unknown as {port1: MessagePort; port2: MessagePort};
    host.add(portLine(port2));
    return service.client("ada", {connector: new TabConnector(portLine(port1), () => "worker")});
  });
  return {tabs, opened: () => opened};
}
