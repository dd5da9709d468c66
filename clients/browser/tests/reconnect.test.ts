import assert from "node:assert/strict";
import {after, before, test} from "node:test";
import {Code, ApiError, type ClientState} from "../src/index.ts";
import {openRoom, TestService, waitUntil} from "./test-service.ts";

let service: TestService;

before(async () => {
  service = await TestService.start();
});
after(() => service.stop());

test("three kills of the service lose nothing and double nothing", async () => {
  const ada = service.client("ada");
  const bob = service.client("bob");
  await openRoom(ada, "hall");
  const states: ClientState[] = [];
  bob.on("state", (state) => states.push(state));
  const seqs: bigint[] = [];
  const texts: string[] = [];
  bob.room("hall").on("event", (event) => {
    seqs.push(event.seq);
    if (event.what.case === "posted") texts.push(event.what.value.text);
  });
  const written: string[] = [];
  for (const kill of [1, 2, 3]) {
    const answers: Promise<unknown>[] = [];
    for (let i = 0; i < 20; i++) {
      written.push(`kill ${kill}, message ${i}`);
      answers.push(ada.room("hall").send(written.at(-1)!));
    }
    await answers[3];
    await service.kill();
    await service.run();
    await Promise.all(answers);
  }
  await waitUntil(() => texts.length >= written.length, "all messages at the reader");
  assert.deepEqual(texts, written);
  assert.deepEqual(seqs, seqs.map((_, i) => BigInt(i + 1)));
  assert.ok(states.includes("reconnecting") && states.at(-1) === "online");
});

test("without a network nothing is tried, and with it at once", async () => {
  let online = false;
  let changed = (): void => undefined;
  const network = {online: () => online, onChange: (listener: () => void) => ((changed = listener), () => undefined)};
  const ada = service.client("ada", {network});
  const states: ClientState[] = [];
  ada.on("state", (state) => states.push(state));
  await waitUntil(() => states.length > 0, "a first state");
  assert.deepEqual(states, ["offline"]);
  online = true;
  changed();
  await ada.session.ping();
  assert.deepEqual(states, ["offline", "reconnecting", "online"]);
});

test("a token that is not taken is refused, and nothing is tried any more", async () => {
  const ada = service.client("", {user: undefined, token: "not a token"});
  const states: ClientState[] = [];
  ada.on("state", (state) => states.push(state));
  await assert.rejects(ada.session.ping(), (error) => error instanceof ApiError && error.code === Code.UNAUTHENTICATED);
  assert.equal(ada.state, "refused");
  assert.deepEqual(states, ["refused"]);
});

test("a page of an origin that is never let in is told why, once in the console and with the state", async (t) => {
  t.mock.method(console, "warn", () => undefined);
  Object.defineProperty(globalThis, "location", {value: {origin: "https://shop.example"}, configurable: true});
  try {
    const closed = service.url.replace("/rsocket", "/no-such-path");
    const ada = service.client("ada", {url: closed});
    const told: string[] = [];
    ada.on("state", (state) => told.push(`${state}: ${ada.lastError?.text}`));
    await waitUntil(() => told.length > 0, "a state with a reason");
    assert.match(told[0]!, /^connecting: .*in 3 attempts.* http\.origins does not name https:\/\/shop\.example/);
    const attempts = () => ada.context.reconnector.backoff.attempts;
    await waitUntil(() => attempts() >= 6, "further attempts");
    assert.equal(told.length, 1);
    const warned = (console.warn as unknown as {mock: {calls: {arguments: string[]}[]}}).mock.calls;
    assert.equal(warned.length, 1);
    assert.match(warned[0]!.arguments[0]!, /http\.origins/);
  } finally {
    Reflect.deleteProperty(globalThis, "location");
  }
});

test("who was let in once, or is from where the service is, hears nothing of origins", async (t) => {
  t.mock.method(console, "warn", () => undefined);
  const warned = (console.warn as unknown as {mock: {calls: unknown[]}}).mock.calls;
  for (const {origin, url} of [
    {origin: "https://shop.example", url: service.url},
    {origin: new URL(service.url.replace("ws", "http")).origin, url: service.url.replace("/rsocket", "/no-such-path")},
  ]) {
    Object.defineProperty(globalThis, "location", {value: {origin}, configurable: true});
    try {
      const ada = service.client("ada", {url});
      if (url === service.url) {
        await ada.session.ping();
        await service.kill();
      }
      await waitUntil(() => ada.context.reconnector.backoff.attempts >= 6, "attempts");
      assert.match(ada.lastError!.text, /^cannot reach/);
      assert.equal(warned.length, 0);
      ada.close();
      if (url === service.url) await service.run();
    } finally {
      Reflect.deleteProperty(globalThis, "location");
    }
  }
});
