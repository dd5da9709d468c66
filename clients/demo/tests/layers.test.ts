import assert from "node:assert/strict";
import {readdirSync, readFileSync} from "node:fs";
import {dirname, join, relative} from "node:path";
import {test} from "node:test";

/** Lower layers first; what is in one may import what is in it or below. */
// The state of a folder (*.ts) is below the components, its views (*.tsx) are above the conversation.
const LAYERS: readonly RegExp[] = [
  /^(i18n|navigation)\/|^settings\/theme\.ts$/,
  /^session\/[\w-]+\.ts$/,
  /^(rooms|presence|search)\/[\w-]+\.ts$/,
  /^components\//,
  /^inspector\//,
  /^conversation\//,
  /^(session|rooms|search|settings)\/[\w-]+\.tsx$/,
  /^app\//,
  /^main\.tsx$/,
];
const SOURCE = "src";

/** The layer of a file below `src`. */
function layerOf(file: string): number {
  return LAYERS.findIndex((pattern) => pattern.test(file));
}

test("imports go one way", () => {
  const wrong: string[] = [];
  for (const file of readdirSync(SOURCE, {recursive: true, encoding: "utf8"})) {
    if (!/\.tsx?$/.test(file) || file === "service-worker.ts" || file.endsWith(".d.ts")) continue;
    assert.notEqual(layerOf(file), -1, `${file} is in no layer`);
    for (const [, named = ""] of readFileSync(join(SOURCE, file), "utf8").matchAll(/(?:from|import) "(\.[^"]+\.tsx?)"/g)) {
      const other = relative(SOURCE, join(SOURCE, dirname(file), named));
      if (layerOf(other) > layerOf(file)) wrong.push(`${file} imports ${other}`);
    }
  }
  assert.deepEqual(wrong, []);
});
