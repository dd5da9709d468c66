import assert from "node:assert/strict";
import {after, before, test} from "node:test";
import {Code, Failure, type State} from "../src/index.ts";
import {openRoom, Service, until} from "./service.ts";

let service: Service;

before(async () => {
  service = await Service.start();
});
after(() => service.stop());

test("three kills of the service lose nothing and double nothing", async () => {
  const ada = service.client("ada");
  const bob = service.client("bob");
  await openRoom(ada, "hall");
  const states: State[] = [];
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
  await until(() => texts.length >= written.length, "all messages at the reader");
  assert.deepEqual(texts, written);
  assert.deepEqual(seqs, seqs.map((_, i) => BigInt(i + 1)));
  assert.ok(states.includes("reconnecting") && states.at(-1) === "online");
});

test("without a network nothing is tried, and with it at once", async () => {
  let online = false;
  let changed = (): void => undefined;
  const network = {online: () => online, onChange: (listener: () => void) => ((changed = listener), () => undefined)};
  const ada = service.client("ada", {network});
  const states: State[] = [];
  ada.on("state", (state) => states.push(state));
  await until(() => states.length > 0, "a first state");
  assert.deepEqual(states, ["offline"]);
  online = true;
  changed();
  await ada.session.ping();
  assert.deepEqual(states, ["offline", "reconnecting", "online"]);
});

test("a token that is not taken is refused, and nothing is tried any more", async () => {
  const ada = service.client("", {user: undefined, token: "not a token"});
  const states: State[] = [];
  ada.on("state", (state) => states.push(state));
  await assert.rejects(ada.session.ping(), (error) => error instanceof Failure && error.code === Code.UNAUTHENTICATED);
  assert.equal(ada.state, "refused");
  assert.deepEqual(states, ["refused"]);
});
