import assert from "node:assert/strict";
import {after, before, test} from "node:test";
import {inspect, MemoryStorage, type Tidings} from "@tidings/client";
import {openRoom, Service, until} from "../../browser/tests/service.ts";
import type {Message, Note} from "../src/conversation/model/message.ts";
import {rowsOf} from "../src/conversation/model/rows.ts";
import {Talk} from "../src/conversation/model/talk.ts";

let service: Service;
let ada: Tidings;
let bob: Tidings;
const talks: Talk[] = [];

before(async () => {
  service = await Service.start();
  ada = service.client("ada");
  bob = service.client("bob");
});
after(async () => {
  for (const talk of talks) talk.stop();
  await service.stop();
});

function talkOf(tidings: Tidings, me: string, room: string, {jump, read, turn = () => undefined}: {jump?: number; read?: number; turn?: () => Promise<void> | void} = {}) {
  const talk = new Talk(tidings, room, {me, read, direct: () => false, turn, frame: (then) => setTimeout(then, 5), painted: () => undefined, watched: () => true}, jump);
  talks.push(talk);
  return talk;
}

const texts = (talk: Talk) => talk.entries.value.flatMap((entry) => (entry.kind === "message" ? [entry.text] : []));
const says = (talk: Talk, text: string) => until(() => texts(talk).includes(text), text);

async function fill(room: string, count: number): Promise<void> {
  await openRoom(ada, room);
  await Promise.all(Array.from({length: count}, (_, at) => ada.room(room).send(`m${at + 1}`)));
}

test("a room begins with its newest messages and goes on live", async () => {
  await fill("live", 80);
  const talk = talkOf(bob, "bob", "live");
  await says(talk, "m80");
  assert.ok(!texts(talk).includes("m1"));
  await ada.room("live").send("now");
  await says(talk, "now");
  await talk.older();
  assert.equal(texts(talk)[0], "m1");
  assert.ok(talk.beginning.value);
  assert.deepEqual(texts(talk), [...Array.from({length: 80}, (_, at) => `m${at + 1}`), "now"]);
});

test("what I write is here at once, and once", async () => {
  await openRoom(ada, "mine");
  const talk = talkOf(ada, "ada", "mine");
  await until(() => talk.begun.value, "begun");
  talk.send("hello", 0);
  const all = () => [...texts(talk), ...talk.outgoing.list.value.map(({text}) => text)];
  assert.deepEqual(all(), ["hello"]);
  const seen: string[][] = [];
  const stop = talk.rows.subscribe((rows) => seen.push(rows.filter(({key}) => key.startsWith("sent")).map(({key}) => key)));
  await says(talk, "hello");
  stop();
  assert.deepEqual(all(), ["hello"]);
  assert.ok(seen.every((keys) => keys.length === 1), "never gone and never double");
  assert.equal(new Set(seen.flat()).size, 1, "and always the same row");
});

test("what the service does not take stays, with the reason, and can be discarded", async () => {
  await openRoom(ada, "strict");
  const talk = talkOf(ada, "ada", "strict");
  talk.send("bad \u0001", 0);
  await until(() => talk.outgoing.list.value[0]?.state === "failed", "failed");
  const [failed] = talk.outgoing.list.value;
  assert.match(failed!.why, /U\+0001/);
  talk.outgoing.discard(failed!.clientId);
  assert.deepEqual(talk.outgoing.list.value, []);
});

test("a jump shows what is around, and the way to the present is open", async () => {
  await fill("long", 300);
  const talk = talkOf(bob, "bob", "long");
  await says(talk, "m300");
  const target = talk.to - 250;
  talk.jump(target);
  await until(() => talk.goal.value?.seq === target && talk.message(target) !== undefined, "jumped");
  assert.ok(!talk.connected.value);
  await ada.room("long").send("meanwhile");
  await until(() => talk.newer.value === 1, "counted");
  assert.ok(!texts(talk).includes("meanwhile"));
  while (!talk.connected.value) await talk.later();
  await says(talk, "meanwhile");
  assert.equal(new Set(texts(talk)).size, texts(talk).length);
});

test("far away, one step leads to the newest", async () => {
  await fill("far", 200);
  const talk = talkOf(bob, "bob", "far", {jump: 10});
  await until(() => talk.goal.value?.seq === 10, "jumped");
  assert.ok(!texts(talk).includes("m200"));
  talk.newest();
  await says(talk, "m200");
  assert.ok(talk.connected.value);
});

test("edits, deletions and reactions of others are seen; mine at once", async () => {
  await fill("desk", 3);
  const talk = talkOf(bob, "bob", "desk");
  await says(talk, "m3");
  const [one, two] = talk.entries.value.filter(({kind}) => kind === "message").map(({seq}) => seq) as [number, number];
  await ada.room("desk").edit(one, "better");
  await says(talk, "better");
  await ada.room("desk").delete(two);
  await until(() => talk.message(two)!.deleted, "deleted");
  const done = talk.changes.react(one, "👍");
  assert.deepEqual(talk.message(one)!.reactions, [{emoji: "👍", users: ["bob"], count: 1}]);
  await done;
  await ada.room("desk").react(one, "👍");
  await until(() => talk.message(one)!.reactions[0]?.count === 2, "two of them");
  await assert.rejects(talk.changes.edit(one, "not mine"));
  assert.equal(talk.message(one)!.text, "better");
  assert.notEqual(talk.changes.trouble.value, "");
});

test("after a reload what was kept is shown before the service answers, and what was missed follows", async () => {
  await fill("kept", 20);
  const storage = new MemoryStorage();
  const first = service.client("bob", {storage});
  const before = talkOf(first, "bob", "kept");
  await says(before, "m20");
  await ada.room("kept").send("m21");
  await says(before, "m21");
  before.stop();
  first.close();
  await ada.room("kept").send("missed");
  const offline = {online: () => false, onChange: () => () => undefined};
  const without = talkOf(service.client("bob", {storage, network: offline}), "bob", "kept");
  await says(without, "m21");
  assert.ok(!texts(without).includes("missed"));
  const second = talkOf(service.client("bob", {storage}), "bob", "kept");
  await says(second, "missed");
  assert.deepEqual(texts(second), [...Array.from({length: 21}, (_, at) => `m${at + 1}`), "missed"]);
});

test("no event is shown before its turn", async () => {
  await openRoom(ada, "slow");
  let go = (): void => undefined;
  const stopped = new Promise<void>((resolve) => (go = resolve));
  const talk = talkOf(bob, "bob", "slow", {turn: () => stopped});
  await until(() => talk.begun.value, "begun");
  const other = talkOf(ada, "ada", "slow");
  await until(() => other.begun.value, "begun");
  for (const text of ["a", "b", "c"]) await ada.room("slow").send(text);
  await says(other, "c");
  assert.deepEqual(texts(talk), []);
  go();
  await says(talk, "c");
});

test("what arrives while one has stopped reading is held and not read, from the first message on", async () => {
  await openRoom(ada, "stopped");
  // Read freely at first: the conversation then waits for the next message, as it does on the page.
  let turn: Promise<void> | undefined;
  const reader = service.client("bob");
  const talk = talkOf(reader, "bob", "stopped", {turn: () => turn});
  await until(() => talk.live.value, "live");
  const stream = async () => (await inspect(reader)).streams.find(({route, about}) => route === "chat.watch" && about === "stopped")!;
  const {position: read} = await stream();
  let go = (): void => undefined;
  turn = new Promise<void>((resolve) => (go = resolve));
  for (const count of [1, 2]) {
    const {cursor} = await ada.room("stopped").send(`m${count}`);
    await until(async () => (await stream()).arrived === cursor!.seq, "it has arrived");
    const {held, position} = await stream();
    assert.deepEqual([held, position, texts(talk)], [count, read, []]);
  }
  turn = undefined;
  go();
  await says(talk, "m2");
  const {held, position, arrived} = await stream();
  assert.deepEqual([held, position], [0, arrived]);
});

test("a thousand messages at once are all there, and the oldest are let go", async () => {
  await openRoom(ada, "crowd");
  const talk = talkOf(bob, "bob", "crowd");
  await until(() => talk.begun.value, "begun");
  await Promise.all(Array.from({length: 1000}, (_, at) => ada.room("crowd").send(`m${at + 1}`)));
  await says(talk, "m1000");
  assert.equal(talk.entries.value.length, 600);
  assert.deepEqual(texts(talk), Array.from({length: 600}, (_, at) => `m${at + 401}`));
});

test("who catches up with a thousand messages is shown a picture every 200 ms, not with each frame", async () => {
  await openRoom(ada, "flood");
  const askedMs: number[] = [];
  let draw: (() => void) | undefined;
  let [turns, drawnAt] = [0, 0];
  const make = (): void => {
    const now = draw;
    if (!now) return;
    draw = undefined;
    drawnAt = turns;
    now();
  };
  const talk = new Talk(bob, "flood", {
    ...{me: "bob", read: undefined, direct: () => false, painted: () => undefined, watched: () => true},
    // A frame comes with every hundred events, as where these come quickly.
    turn: () => void ((turns += 1) - drawnAt > 100 && make()),
    frame(then) {
      askedMs.push(performance.now());
      draw = then;
    },
  });
  talks.push(talk);
  await until(() => talk.live.value && draw !== undefined, "live");
  make();
  [turns, drawnAt, askedMs.length] = [0, 0, 0];
  await Promise.all(Array.from({length: 1000}, (_, at) => ada.room("flood").send(`m${at + 1}`)));
  await until(() => turns >= 1000, "all taken");
  await until(() => (make(), texts(talk).includes("m1000")), "m1000");
  const waitedMs = askedMs.slice(1).map((atMs, place) => atMs - askedMs[place]!);
  assert.ok(waitedMs.length > 0);
  assert.ok(waitedMs.every((ms) => ms > 190), `${waitedMs}`);
});

test("others see how far I have come, and who is typing", async () => {
  await openRoom(ada, "seen");
  await bob.room("seen").join();
  const talk = talkOf(ada, "ada", "seen");
  talk.send("have you read it?", 0);
  await says(talk, "have you read it?");
  const {seq} = talk.entries.value.at(-1)!;
  await bob.room("seen").mark({delivered: seq});
  await until(() => talk.others.seen(seq) === "delivered", "delivered");
  await bob.room("seen").markRead(seq);
  await until(() => talk.others.seen(seq) === "read", "read");
  assert.deepEqual(talk.others.readers(seq), ["bob"]);
  await bob.room("seen").typing();
  await until(() => talk.others.typing.value.includes("bob"), "typing");
  await bob.room("seen").send("yes");
  await says(talk, "yes");
  assert.deepEqual(talk.others.typing.value, []);
});

test("between two there are no notes of who made the room and who came, and what is missing is told", () => {
  const note = (kind: Note["kind"], seq: number): Note => ({kind, seq, atMs: seq * 86_400_000, actor: "ada", about: "bob", value: 0});
  const message: Message = {
    ...{kind: "message", seq: 4, actor: "ada", clientId: "", atMs: 4 * 86_400_000, text: "hello", replyTo: 0, editedAtMs: 0},
    ...{deleted: false, reactions: [], asOf: 4},
  };
  const entries = [note("created", 1), note("joined", 2), note("gap", 3), message, note("role", 5)];
  const keys = (direct: boolean) =>
    rowsOf({entries, direct, outgoing: [], me: "bob", unreadFrom: 0, from: 1}).flatMap(({kind, key}) => (kind === "day" ? [] : [key]));
  assert.deepEqual(keys(true), ["note 3", "message 4"]);
  assert.deepEqual(keys(false), ["note 1", "note 2", "note 3", "message 4", "note 5"]);
});

test("a room that is not mine says so", async () => {
  const secret = (await ada.rooms.create("secret")).room!.room;
  const talk = talkOf(bob, "bob", secret);
  await until(() => talk.failure.value !== undefined, "refused");
  assert.notEqual(talk.failure.value!.text, "");
});
