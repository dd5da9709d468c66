import assert from "node:assert/strict";
import {after, before, test} from "node:test";
import {inspect, MemoryStorage, type TidingsClient} from "@tidings/client";
import {openRoom, TestService, waitUntil} from "../../browser/tests/test-service.ts";
import type {Message, SystemMessage} from "../src/conversation/model/message.ts";
import {buildRows} from "../src/conversation/model/rows.ts";
import {ConversationModel} from "../src/conversation/model/conversation-model.ts";

let service: TestService;
let ada: TidingsClient;
let bob: TidingsClient;
const conversations: ConversationModel[] = [];

before(async () => {
  service = await TestService.start();
  ada = service.client("ada");
  bob = service.client("bob");
});
after(async () => {
  for (const conversation of conversations) conversation.stop();
  await service.stop();
});

function openConversation(tidings: TidingsClient, me: string, room: string, {jump, read, turn = () => undefined}: {jump?: number; read?: number; turn?: () => Promise<void> | void} = {}) {
  const conversation = new ConversationModel(tidings, room, {me, readSeq: read, isDirect: () => false, nextTurn: turn, onNextFrame: (then) => setTimeout(then, 5), onPainted: () => undefined, isWatched: () => true}, jump);
  conversations.push(conversation);
  return conversation;
}

const texts = (conversation: ConversationModel) => conversation.entries.value.flatMap((entry) => (entry.kind === "message" ? [entry.text] : []));
const waitForText = (conversation: ConversationModel, text: string) => waitUntil(() => texts(conversation).includes(text), text);

async function postMessages(room: string, count: number): Promise<void> {
  await openRoom(ada, room);
  await Promise.all(Array.from({length: count}, (_, at) => ada.room(room).send(`m${at + 1}`)));
}

test("a room begins with its newest messages and goes on live", async () => {
  await postMessages("live", 80);
  const conversation = openConversation(bob, "bob", "live");
  await waitForText(conversation, "m80");
  assert.ok(!texts(conversation).includes("m1"));
  await ada.room("live").send("now");
  await waitForText(conversation, "now");
  await conversation.pages.loadOlder();
  assert.equal(texts(conversation)[0], "m1");
  assert.ok(conversation.isAtBeginning.value);
  assert.deepEqual(texts(conversation), [...Array.from({length: 80}, (_, at) => `m${at + 1}`), "now"]);
});

test("my message is shown at once, and never twice", async () => {
  await openRoom(ada, "mine");
  const conversation = openConversation(ada, "ada", "mine");
  await waitUntil(() => conversation.isLoaded.value, "begun");
  conversation.send("hello", 0);
  const all = () => [...texts(conversation), ...conversation.outgoing.list.value.map(({text}) => text)];
  assert.deepEqual(all(), ["hello"]);
  const seen: string[][] = [];
  const stop = conversation.rows.subscribe((rows) => seen.push(rows.filter(({key}) => key.startsWith("sent")).map(({key}) => key)));
  await waitForText(conversation, "hello");
  stop();
  assert.deepEqual(all(), ["hello"]);
  assert.ok(seen.every((keys) => keys.length === 1), "never gone and never double");
  assert.equal(new Set(seen.flat()).size, 1, "and always the same row");
});

test("a rejected message stays with its error and can be discarded", async () => {
  await openRoom(ada, "strict");
  const conversation = openConversation(ada, "ada", "strict");
  conversation.send("bad \u0001", 0);
  await waitUntil(() => conversation.outgoing.list.value[0]?.state === "failed", "failed");
  const [failed] = conversation.outgoing.list.value;
  assert.match(failed!.errorText, /U\+0001/);
  conversation.outgoing.discard(failed!.clientId);
  assert.deepEqual(conversation.outgoing.list.value, []);
});

test("edits, deletions and reactions of others are shown; mine at once", async () => {
  await postMessages("desk", 3);
  const conversation = openConversation(bob, "bob", "desk");
  await waitForText(conversation, "m3");
  const [one, two] = conversation.entries.value.filter(({kind}) => kind === "message").map(({seq}) => seq) as [number, number];
  await ada.room("desk").edit(one, "better");
  await waitForText(conversation, "better");
  await ada.room("desk").delete(two);
  await waitUntil(() => conversation.message(two)!.deleted, "deleted");
  const done = conversation.actions.react(one, "👍");
  assert.deepEqual(conversation.message(one)!.reactions, [{emoji: "👍", users: ["bob"], count: 1}]);
  await done;
  await ada.room("desk").react(one, "👍");
  await waitUntil(() => conversation.message(one)!.reactions[0]?.count === 2, "two of them");
  await assert.rejects(conversation.actions.edit(one, "not mine"));
  assert.equal(conversation.message(one)!.text, "better");
  assert.notEqual(conversation.actions.error.value, "");
});

test("after a reload cached messages are shown before the service replies, and missed ones follow", async () => {
  await postMessages("kept", 20);
  const storage = new MemoryStorage();
  const first = service.client("bob", {storage});
  const before = openConversation(first, "bob", "kept");
  await waitForText(before, "m20");
  await ada.room("kept").send("m21");
  await waitForText(before, "m21");
  before.stop();
  first.close();
  await ada.room("kept").send("missed");
  const offline = {online: () => false, onChange: () => () => undefined};
  const without = openConversation(service.client("bob", {storage, network: offline}), "bob", "kept");
  await waitForText(without, "m21");
  assert.ok(!texts(without).includes("missed"));
  const second = openConversation(service.client("bob", {storage}), "bob", "kept");
  await waitForText(second, "missed");
  assert.deepEqual(texts(second), [...Array.from({length: 21}, (_, at) => `m${at + 1}`), "missed"]);
});

test("no event is shown before the read throttle allows it", async () => {
  await openRoom(ada, "slow");
  let go = (): void => undefined;
  const stopped = new Promise<void>((resolve) => (go = resolve));
  const conversation = openConversation(bob, "bob", "slow", {turn: () => stopped});
  await waitUntil(() => conversation.isLoaded.value, "begun");
  const other = openConversation(ada, "ada", "slow");
  await waitUntil(() => other.isLoaded.value, "begun");
  for (const text of ["a", "b", "c"]) await ada.room("slow").send(text);
  await waitForText(other, "c");
  assert.deepEqual(texts(conversation), []);
  go();
  await waitForText(conversation, "c");
});

test("while reading is stopped, messages are buffered and not read, from the first one on", async () => {
  await openRoom(ada, "stopped");
  // Reads freely at first, so that the conversation waits for the next message, as on the page.
  let turn: Promise<void> | undefined;
  const reader = service.client("bob");
  const conversation = openConversation(reader, "bob", "stopped", {turn: () => turn});
  await waitUntil(() => conversation.isLive.value, "live");
  const stream = async () => (await inspect(reader)).streams.find(({route, subject}) => route === "chat.watch" && subject === "stopped")!;
  const {position: read} = await stream();
  let go = (): void => undefined;
  turn = new Promise<void>((resolve) => (go = resolve));
  for (const count of [1, 2]) {
    const {cursor} = await ada.room("stopped").send(`m${count}`);
    await waitUntil(async () => (await stream()).receivedPosition === cursor!.seq, "it has arrived");
    const {buffered, position} = await stream();
    assert.deepEqual([buffered, position, texts(conversation)], [count, read, []]);
  }
  turn = undefined;
  go();
  await waitForText(conversation, "m2");
  const {buffered, position, receivedPosition} = await stream();
  assert.deepEqual([buffered, position], [0, receivedPosition]);
});

test("a thousand messages at once are all applied, and the oldest are dropped", async () => {
  await openRoom(ada, "crowd");
  const conversation = openConversation(bob, "bob", "crowd");
  await waitUntil(() => conversation.isLoaded.value, "begun");
  await Promise.all(Array.from({length: 1000}, (_, at) => ada.room("crowd").send(`m${at + 1}`)));
  await waitForText(conversation, "m1000");
  assert.equal(conversation.entries.value.length, 600);
  assert.deepEqual(texts(conversation), Array.from({length: 600}, (_, at) => `m${at + 401}`));
});

test("catching up with a thousand messages draws every 200 ms, not with each frame", async () => {
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
  const conversation = new ConversationModel(bob, "flood", {
    ...{me: "bob", readSeq: undefined, isDirect: () => false, onPainted: () => undefined, isWatched: () => true},
    // One frame per hundred events, as when events arrive quickly.
    nextTurn: () => void ((turns += 1) - drawnAt > 100 && make()),
    onNextFrame(then) {
      askedMs.push(performance.now());
      draw = then;
    },
  });
  conversations.push(conversation);
  await waitUntil(() => conversation.isLive.value && draw !== undefined, "live");
  make();
  [turns, drawnAt, askedMs.length] = [0, 0, 0];
  await Promise.all(Array.from({length: 1000}, (_, at) => ada.room("flood").send(`m${at + 1}`)));
  await waitUntil(() => turns >= 1000, "all taken");
  await waitUntil(() => (make(), texts(conversation).includes("m1000")), "m1000");
  const waitedMs = askedMs.slice(1).map((atMs, place) => atMs - askedMs[place]!);
  assert.ok(waitedMs.length > 0);
  assert.ok(waitedMs.every((ms) => ms > 190), `${waitedMs}`);
});

test("read positions and typing of other members are shown", async () => {
  await openRoom(ada, "seen");
  await bob.room("seen").join();
  const conversation = openConversation(ada, "ada", "seen");
  conversation.send("have you read it?", 0);
  await waitForText(conversation, "have you read it?");
  const {seq} = conversation.entries.value.at(-1)!;
  await bob.room("seen").mark({delivered: seq});
  await waitUntil(() => conversation.activity.deliveryOf(seq) === "delivered", "delivered");
  await bob.room("seen").markRead(seq);
  await waitUntil(() => conversation.activity.deliveryOf(seq) === "read", "read");
  assert.deepEqual(conversation.activity.readers(seq), ["bob"]);
  await bob.room("seen").typing();
  await waitUntil(() => conversation.activity.typing.value.includes("bob"), "typing");
  await bob.room("seen").send("yes");
  await waitForText(conversation, "yes");
  assert.deepEqual(conversation.activity.typing.value, []);
});

test("in a direct room only gaps are shown as system messages", () => {
  const systemMessage = (kind: SystemMessage["kind"], seq: number): SystemMessage => ({kind, seq, atMs: seq * 86_400_000, actor: "ada", subject: "bob", value: 0});
  const message: Message = {
    ...{kind: "message", seq: 4, actor: "ada", clientId: "", atMs: 4 * 86_400_000, text: "hello", replyTo: 0, editedAtMs: 0},
    ...{deleted: false, reactions: [], asOf: 4},
  };
  const entries = [systemMessage("created", 1), systemMessage("joined", 2), systemMessage("gap", 3), message, systemMessage("role", 5)];
  const keys = (direct: boolean) =>
    buildRows({entries, direct, outgoing: [], me: "bob", unreadFrom: 0, from: 1}).flatMap(({kind, key}) => (kind === "day" ? [] : [key]));
  assert.deepEqual(keys(true), ["system 3", "message 4"]);
  assert.deepEqual(keys(false), ["system 1", "system 2", "system 3", "message 4", "system 5"]);
});

test("a room that the user may not read reports the failure", async () => {
  const secret = (await ada.rooms.create("secret")).room!.room;
  const conversation = openConversation(bob, "bob", secret);
  await waitUntil(() => conversation.failure.value !== undefined, "refused");
  assert.notEqual(conversation.failure.value!.text, "");
});
