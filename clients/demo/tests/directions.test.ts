import assert from "node:assert/strict";
import {readdirSync, readFileSync} from "node:fs";
import {dirname, join, relative} from "node:path";
import {test} from "node:test";

/** Lower layers first; what is in one may import what is in it or below. */
const LAYERS = [["words", "told", "route", "theme", "kept"], ["session"], ["model"], ["parts"], ["wire"], ["conversation"], ["shell"], ["app"], ["main"]];
const SOURCE = "src";

/** The layer of a file below `src`: that of its folder, or its own. */
function layerOf(file: string): number {
  const [first = ""] = file.split(/[/.]/);
  return LAYERS.findIndex((names) => names.includes(first));
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
