import assert from "node:assert/strict";
import {join} from "node:path";
import {after, before, test} from "node:test";
import vm from "node:vm";
import {build} from "esbuild";
import WebSocket from "ws";
import {TestService} from "./test-service.ts";

let service: TestService;
const {options} = await import(join(process.cwd(), "tools/bundle.mjs"));

before(async () => {
  service = await TestService.start();
});
after(() => service.stop());

async function bundled(code: string, extra: object = {}): Promise<string> {
  const stdin = {contents: code, resolveDir: process.cwd()};
  const {outputFiles} = await build({...options, stdin, write: false, sourcemap: false, minify: true, platform: "browser", ...extra});
  return outputFiles![0]!.text;
}

test("it runs without a global Buffer or process, where code from strings is forbidden", async () => {
  const code = await bundled('export * from "./src/index.ts"', {format: "iife", globalName: "Client", define: {"import.meta.url": '"http://localhost/"'}});
  const page = {WebSocket, setTimeout, clearTimeout, setInterval, clearInterval, queueMicrotask, performance, crypto, TextEncoder, TextDecoder, atob, btoa, URL, AbortController};
  const context = vm.createContext({...page, url: service.url}, {codeGeneration: {strings: false, wasm: false}});
  assert.throws(() => vm.runInContext("eval('1')", context));
  vm.runInContext(code, context);
  const reply = await vm.runInContext(
    `(async () => {
      const tidings = Client.connect({url, user: "ada"});
      await tidings.rooms.create("plain", {kind: Client.RoomKind.OPEN});
      await tidings.room("plain").send("hi");
      const {events} = await tidings.room("plain").history();
      tidings.close();
      return typeof Buffer + " " + events.at(-1).what.value.text;
    })()`,
    context,
  );
  assert.equal(reply, "undefined hi");
});

test("what is not used is not in a page's bundle", async () => {
  const whole = await bundled('import {connect} from "./src/index.ts"; console.log(connect)');
  const little = await bundled('import {ApiError} from "./src/index.ts"; console.log(ApiError)');
  assert.ok(little.length < whole.length / 6, `${little.length} of ${whole.length} bytes`);
});
