import assert from "node:assert/strict";
import {after, before, test} from "node:test";
import {ApiError, MemoryStorage, RoomKind, Status, type TidingsClient} from "../src/index.ts";
import {openRoom, TestService, takeItems, textOf, waitUntil} from "./test-service.ts";

let service: TestService;
let ada: TidingsClient;
let bob: TidingsClient;

before(async () => {
  service = await TestService.start();
  ada = service.client("ada");
  bob = service.client("bob");
});
after(() => service.stop());

test("a message that is sent is watched by another", async () => {
  await openRoom(ada, "hall");
  const watch = bob.room("hall").watch();
  await watch.waitStarted();
  await ada.room("hall").send("hi");
  const [event] = await takeItems(watch, 1);
  assert.equal(textOf(event!), "hi");
  assert.equal(event!.actor, "ada");
});

test("a directConnector room that is hidden is marked so in lists until its next message", async () => {
  const name = (await ada.rooms.create("", {kind: RoomKind.DIRECT, members: ["bob"]})).room!.room;
  const hidden = async () => (await ada.rooms.list()).rooms.find(({room}) => room!.room === name)!.hidden;
  await ada.room(name).hide();
  assert.equal(await hidden(), true);
  await ada.room(name).hide({shown: true});
  assert.equal(await hidden(), false);
  await ada.room(name).hide();
  await bob.room(name).send("hi");
  assert.equal(await hidden(), false);
});

test("messages are edited, deleted, reacted to, read and found", async () => {
  await openRoom(ada, "desk");
  const room = ada.room("desk");
  const {cursor} = await room.send("first thoughts about walruses");
  await room.edit(cursor!.seq, "second thoughts about walruses");
  await room.react(cursor!.seq, "👍");
  const page = await room.history();
  const posted = page.events.find((event) => event.seq === cursor!.seq)!;
  assert.equal(textOf(posted), "second thoughts about walruses");
  const read: string[] = [];
  for await (const event of room.read()) if (textOf(event) !== undefined) read.push(textOf(event)!);
  assert.deepEqual(read, ["second thoughts about walruses"]);
  assert.equal((await room.markRead(cursor!.seq)).read, cursor!.seq);
  await room.typing();
  await room.delete(cursor!.seq);
  assert.equal(textOf((await room.history()).events.find((event) => event.seq === cursor!.seq)!), "");
  const other = await room.send("nobody expects narwhals");
  const found = await ada.search("narwhals");
  assert.deepEqual(found.events.map(({seq}) => seq), [other.cursor!.seq]);
});

test("rooms and people are listed and watched", async () => {
  await openRoom(ada, "kitchen");
  assert.ok((await ada.rooms.list()).rooms.some(({room}) => room?.room === "kitchen"));
  for await (const {item} of ada.rooms.watch()) if (item.case === "live") break;
  await bob.setPresence(Status.BUSY, "baking");
  for await (const {item} of ada.presence(["bob"])) {
    if (item.case === "user" && item.value.status === Status.BUSY) {
      assert.equal(item.value.text, "baking");
      break;
    }
  }
  for await (const {item} of ada.room("kitchen").presence()) if (item.case === "live") break;
  assert.equal((await ada.session.info()).user, "ada");
  assert.ok((await ada.session.ping()) >= 0);
});

test("hostile texts stay texts, byte for byte", async () => {
  await openRoom(ada, "gate");
  const texts = ["<img src=x onerror=alert(1)>", "__proto__", '{"text":"x"}', "\u202Egnp.exe\u202C", "𝕏 👩‍👩‍👧‍👦 é", "</script><script>"];
  for (const text of texts) await ada.room("gate").send(text);
  const read: string[] = [];
  for await (const event of bob.room("gate").read()) if (textOf(event) !== undefined) read.push(textOf(event)!);
  assert.deepEqual(read, texts);
});

test("what the service does not take is thrown with its code", async () => {
  await assert.rejects(ada.room("no such room").history(), (error) => error instanceof ApiError && error.text.length > 0);
});

test("a room shows its history, then what happens, each once", async () => {
  await openRoom(ada, "stage");
  await ada.room("stage").send("one");
  const seen: string[] = [];
  let showed = (): void => undefined;
  const first = new Promise<void>((resolve) => (showed = resolve));
  bob.room("stage").on("event", (event) => {
    const text = textOf(event);
    if (text !== undefined && seen.push(text) === 1) showed();
  });
  await first;
  await ada.room("stage").send("two");
  await ada.room("stage").send("three");
  await waitUntil(() => seen.length === 3, "three messages");
  assert.deepEqual(seen, ["one", "two", "three"]);
});

test("a page after 0 is the beginning, one before 0 is empty, and so is a range up to 0", async () => {
  await openRoom(ada, "paged");
  const room = ada.room("paged");
  for (const text of ["one", "two", "three"]) await room.send(text);
  assert.equal((await room.history({after: 0, limit: 1})).events[0]!.seq, 1n);
  assert.deepEqual((await room.history({before: 0})).events, []);
  const seqs: bigint[] = [];
  for await (const event of room.read({to: 0})) seqs.push(event.seq);
  for await (const event of room.read({to: 2})) seqs.push(event.seq);
  assert.deepEqual(seqs, [1n, 2n]);
});

test("what is kept of a room is here without the network, and can be forgotten", async () => {
  await openRoom(ada, "attic");
  const attic = ada.room("attic");
  assert.equal(await attic.cachedEvents(), undefined);
  await attic.send("a trunk");
  const page = await attic.history();
  await attic.cacheEvents(page.events, page.head!);
  const kept = await attic.cachedEvents();
  assert.deepEqual(kept!.events.map(textOf), page.events.map(textOf));
  assert.equal(kept!.cursor.seq, page.head!.seq);
  await attic.clearCache();
  assert.equal(await attic.cachedEvents(), undefined);
});

test("who signs out leaves nothing of the rooms, but what is on its way", async () => {
  const storage = new MemoryStorage();
  const eve = service.client("eve", {storage});
  await openRoom(eve, "cellar");
  const cellar = eve.room("cellar");
  await cellar.send("a barrel");
  const page = await cellar.history();
  await cellar.cacheEvents(page.events, page.head!);
  await storage.putPending({clientId: "c", room: "cellar", text: "wine", replyTo: 0, atMs: 0, order: 0});
  const late = cellar.cacheEvents(page.events, page.head!);
  await eve.signOut();
  await late;
  await cellar.cacheEvents(page.events, page.head!);
  assert.equal(eve.state, "closed");
  assert.deepEqual(await storage.events("cellar"), []);
  assert.deepEqual((await storage.pending()).map(({text}) => text), ["wine"]);
});
