import assert from "node:assert/strict";
import {readFileSync} from "node:fs";
import {after, before, test} from "node:test";
import {drop, inspect, type Tidings} from "../src/index.ts";
import {openRoom, Service} from "./service.ts";

const AsyncFunction = Object.getPrototypeOf(async () => undefined).constructor as FunctionConstructor;
const examples = [...readFileSync("README.md", "utf8").matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code!);

let service: Service;
let tidings: Tidings;

before(async () => {
  service = await Service.start();
  tidings = service.client("ada");
  await openRoom(tidings, "general").catch(() => undefined); // the service may have made it
});
after(() => service.stop());

test("the README has examples", () => {
  assert.ok(examples.length >= 4);
});

examples.forEach((code, i) => {
  test(`example ${i + 1} of the README runs as it stands`, async () => {
    const own = code.includes("connect(");
    const body = code.replace(/^import .*\n/, "");
    const quiet = {log: () => undefined};
    const run = new AsyncFunction("connect", "console", "inspect", "drop", ...(own ? [] : ["tidings"]), body);
    await run(() => service.client("ada"), quiet, inspect, drop, tidings);
  });
});
