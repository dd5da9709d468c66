import assert from "node:assert/strict";
import {readFileSync} from "node:fs";
import {after, before, test} from "node:test";
import {simulateOffline, inspect, type TidingsClient} from "../src/index.ts";
import {openRoom, TestService} from "./test-service.ts";

const AsyncFunction = Object.getPrototypeOf(async () => undefined).constructor as FunctionConstructor;
const examples = [
  ...found("README.md", /```js\n([\s\S]*?)```/g),
  ...found("../../README.md", /```js title="@tidings\/client"\n([\s\S]*?)```/g),
];

function found(file: string, pattern: RegExp): string[] {
  const codes = [...readFileSync(file, "utf8").matchAll(pattern)].map(([, code]) => code!);
  assert.ok(codes.length, `${file} has examples`);
  return codes;
}

let service: TestService;
let tidings: TidingsClient;

before(async () => {
  service = await TestService.start();
  tidings = service.client("ada");
  await openRoom(tidings, "general").catch(() => undefined); // the service may have made it
});
after(() => service.stop());

examples.forEach((code, i) => {
  test(`example ${i + 1} of the READMEs runs as it stands`, async () => {
    const own = code.includes("connect(");
    const body = code.replace(/^import .*\n/, "");
    const quiet = {log: () => undefined};
    const run = new AsyncFunction("connect", "console", "inspect", "simulateOffline", ...(own ? [] : ["tidings"]), body);
    await run(() => service.client("ada"), quiet, inspect, simulateOffline, tidings);
  });
});
