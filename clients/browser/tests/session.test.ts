import assert from "node:assert/strict";
import {createHmac} from "node:crypto";
import {after, before, test} from "node:test";
import {accountOf} from "../src/credentials.ts";
import type {ClientState} from "../src/index.ts";
import {TestService, waitUntil} from "./test-service.ts";

const SECRET = "a secret of more than thirty-two bytes, for tests";
let service: TestService;

before(async () => {
  service = await TestService.start({TIDINGS_AUTH__SECRET: SECRET});
});
after(() => service.stop());

function token(user: string, seconds: number): string {
  const text = (value: object) => globalThis.Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const signed = `${text({alg: "HS256", typ: "JWT"})}.${text({sub: user, iat: now, exp: now + seconds})}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

test("a token is refreshed on the living connection before it runs out", async () => {
  let asked = 0;
  const fresh = () => token("ada", ++asked < 3 ? 2 : 3600);
  const ada = service.client("", {user: undefined, token: fresh});
  const states: ClientState[] = [];
  ada.on("state", (state) => states.push(state));
  assert.equal((await ada.session.info()).user, "ada");
  await waitUntil(() => asked >= 3, "two refreshes");
  for (let info = await ada.session.info(); info.expiresAtMs - info.nowMs < 60_000n; ) info = await ada.session.info();
  assert.deepEqual(states, ["online"]);
});

test("tokens that are refused three times in a row are given up", async () => {
  let asked = 0;
  const ada = service.client("", {user: undefined, token: async () => `wrong ${++asked}`});
  await waitUntil(() => ada.state === "refused", "refused");
  assert.equal(asked, 3);
});

test("a page that cannot give a token is asked again", async () => {
  let asked = 0;
  const fresh = () => {
    if (++asked < 3) throw new Error("the sign-in service is down");
    return token("ada", 3600);
  };
  assert.equal((await service.client("", {user: undefined, token: fresh}).session.info()).user, "ada");
});

test("whose client it is shows in the user or the token, and otherwise nowhere", () => {
  assert.equal(accountOf(undefined, "ada"), "ada");
  assert.equal(accountOf(token("bø b", 60), undefined), "bø b");
  assert.equal(accountOf("not a token", undefined), undefined);
  assert.equal(accountOf(() => token("ada", 60), undefined), undefined);
});
