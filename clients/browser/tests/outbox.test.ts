import "fake-indexeddb/auto";
import assert from "node:assert/strict";
import {after, before, test} from "node:test";
import {Code, type ApiError, inspect, MemoryStorage, openStorage, type PendingMessage, type Storage} from "../src/index.ts";
import {InProcessLocks, openRoom, TestService, textOf, waitUntil} from "./test-service.ts";

let service: TestService;

before(async () => {
  service = await TestService.start();
});
after(() => service.stop());

const offline = {online: () => false, onChange: () => () => undefined};

/** The storages, each as it is found again after a reload. */
const STORAGES: [string, (name: string) => Promise<Storage>][] = [
  ["memory", async () => new MemoryStorage()],
  ["IndexedDB", (name) => openStorage(name)],
];

for (const [kind, make] of STORAGES) {
  test(`a message typed offline is shown at once and sent after a reload, in order (${kind})`, async () => {
    const room = `out-${kind.toLowerCase()}`;
    await openRoom(service.client("ada"), room);
    const storage = await make("reload");
    const before = service.client("ada", {storage, network: offline});
    const shown: string[] = [];
    before.on("pending", ({text}) => shown.push(text));
    void before.room(room).send("one");
    void before.room(room).send("two");
    assert.deepEqual(shown, ["one", "two"]);
    assert.deepEqual(before.room(room).pending().map(({text}) => text), ["one", "two"]);
    await waitUntil(async () => (await storage.pending()).length === 2, "both are stored");
    before.close();

    const again = kind === "memory" ? storage : await make("reload");
    const later = service.client("ada", {storage: again});
    const found: PendingMessage[] = [];
    const sent: string[] = [];
    later.on("pending", (message) => found.push(message));
    later.on("sent", ({message}) => sent.push(message.text));
    await waitUntil(() => sent.length === 2, "both are sent");
    assert.deepEqual(found.map(({text}) => text), ["one", "two"]);
    assert.deepEqual(sent, ["one", "two"]);
    assert.deepEqual(await again.pending(), []);
    const texts = (await later.room(room).history()).events.map(textOf).filter((text) => text !== undefined);
    assert.deepEqual(texts, ["one", "two"]);
  });

  test(`a storage keeps events by room and seq (${kind})`, async () => {
    const storage = await make("kept");
    const event = (room: string, seq: number) => ({room, seq, epoch: "e", data: new Uint8Array([seq])});
    await storage.putEvents([event("a", 2), event("a", 1), event("b", 7), event("a", 10)]);
    assert.deepEqual((await storage.events("a")).map(({seq}) => seq), [1, 2, 10]);
    await storage.deleteEvents("a", 3);
    assert.deepEqual((await storage.events("a")).map(({seq}) => seq), [10]);
    await storage.deleteEvents("a", Infinity);
    assert.deepEqual(await storage.events("a"), []);
    assert.deepEqual((await storage.events("b")).map(({seq}) => seq), [7]);
    await storage.deleteAllEvents();
    assert.deepEqual(await storage.events("b"), []);
  });
}

test("two tabs that find the same message send it once", async () => {
  await openRoom(service.client("ada"), "twins");
  const storage = new MemoryStorage();
  await storage.putPending({clientId: "same", room: "twins", text: "once", replyTo: 0, atMs: 0, order: 1});
  const tabs = [service.client("ada", {storage}), service.client("ada", {storage})];
  const sent: string[] = [];
  for (const tab of tabs) tab.on("sent", ({message}) => sent.push(message.clientId));
  await waitUntil(() => sent.length > 0, "it is sent");
  await Promise.all(tabs.map((tab) => tab.room("twins").send("after")));
  const texts = (await tabs[0]!.room("twins").history()).events.map(textOf);
  assert.equal(texts.filter((text) => text === "once").length, 1);
});

test("what one tab writes is on its way in the other, and sent once", async () => {
  await openRoom(service.client("ada"), "mirrored");
  const [storage, locks] = [new MemoryStorage(), new InProcessLocks()];
  const [one, two] = [service.client("ada", {storage, locks, account: "mirrored"}), service.client("ada", {storage, locks, account: "mirrored"})];
  const told: string[] = [];
  two.on("pending", ({text}) => told.push(`pending ${text}`));
  two.on("sent", ({message, reply}) => told.push(`sent ${message.text} ${reply.cursor?.seq}`));
  two.on("failed", ({message, failure}) => told.push(`failed ${message.text.slice(0, 4)} ${failure.code}`));
  await two.session.ping();
  const {connection} = await inspect(two);
  const reply = await one.room("mirrored").send("hello");
  await assert.rejects(one.room("mirrored").send("bell \u0007"), ({code}) => code === Code.INVALID_ARGUMENT);
  await waitUntil(() => told.length === 4, "both ends");
  assert.deepEqual(told, ["pending hello", `sent hello ${reply.cursor!.seq}`, "pending bell \u0007", `failed bell ${Code.INVALID_ARGUMENT}`]);
  assert.equal((await inspect(two)).connection!.framesOut, connection!.framesOut);
  assert.deepEqual(two.room("mirrored").pending(), []);
});

test("a tab that is closed leaves its messages to the others, in order", async () => {
  await openRoom(service.client("ada"), "inherited");
  const [storage, locks] = [new MemoryStorage(), new InProcessLocks()];
  const gone = service.client("ada", {storage, locks, account: "inherited", network: offline});
  const others = [0, 1].map(() => service.client("ada", {storage, locks, account: "inherited"}));
  for (const text of ["one", "two", "three"]) void gone.room("inherited").send(text);
  const waiting = () => others.map((tab) => tab.room("inherited").pending().map(({text}) => text).join(" "));
  await waitUntil(() => waiting().every((texts) => texts === "one two three"), "the others show them");
  await waitUntil(async () => (await storage.pending()).length === 3, "they are stored");
  gone.close();
  await waitUntil(() => waiting().every((texts) => texts === ""), "they are sent");
  const texts = (await others[0]!.room("inherited").history()).events.map(textOf).filter((text) => text !== undefined);
  assert.deepEqual(texts, ["one", "two", "three"]);
  assert.deepEqual(await storage.pending(), []);
});

test("a message the service does not take fails, and the next one goes on", async () => {
  const ada = service.client("ada");
  await openRoom(ada, "strict");
  const failures: ApiError[] = [];
  ada.on("failed", ({failure}) => failures.push(failure));
  const bad = ada.room("strict").send("bell \u0007");
  const good = ada.room("strict").send("fine");
  await assert.rejects(bad);
  await good;
  assert.equal(failures.length, 1);
  assert.deepEqual(ada.room("strict").pending(), []);
});

test("a reload shows the history before there is a network, and then only what was missed", async () => {
  const writer = service.client("ada");
  await openRoom(writer, "kept");
  for (const text of ["one", "two", "secret"]) await writer.room("kept").send(text);
  const storage = new MemoryStorage();
  const seen: (string | undefined)[] = [];
  const first = service.client("bob", {storage});
  first.room("kept").on("event", (event) => textOf(event) !== undefined && seen.push(textOf(event)));
  await waitUntil(() => seen.length === 3, "three messages");
  const {events} = await writer.room("kept").history();
  await writer.room("kept").delete(events.at(-1)!.seq);
  await waitUntil(async () => (await storage.events("kept")).length === events.length + 1, "all are kept");
  first.close();

  const reloaded: (string | undefined)[] = [];
  const dark = service.client("bob", {storage, network: offline});
  dark.room("kept").on("event", (event) => textOf(event) !== undefined && reloaded.push(textOf(event)));
  await waitUntil(() => reloaded.length === 3, "what was kept");
  assert.deepEqual(reloaded, ["one", "two", ""]);
  assert.equal(dark.state, "offline");

  await writer.room("kept").send("three");
  const seqs: bigint[] = [];
  const back = service.client("bob", {storage});
  back.room("kept").on("event", (event) => seqs.push(event.seq));
  await waitUntil(() => seqs.length >= events.length + 2, "everything");
  assert.deepEqual(seqs, seqs.map((_, i) => BigInt(i + 1)));
});
