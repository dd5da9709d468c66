import assert from "node:assert/strict";
import {test} from "node:test";
import {excerpt, searchTerms} from "../src/search/excerpt.ts";
import {completed, hasSpace, NO_NAMES, suggestedName, withText} from "../src/components/names-input.ts";
import {roomNameFrom} from "../src/rooms/room-name.ts";
import {sentence} from "../src/components/sentence.ts";
import {en as conversationEn} from "../src/i18n/conversation.en.ts";
import {zh as conversationZh} from "../src/i18n/conversation.zh.ts";
import {en as shellEn} from "../src/i18n/app.en.ts";
import {en as wireEn} from "../src/i18n/inspector.en.ts";
import {zh as wireZh} from "../src/i18n/inspector.zh.ts";
import {zh as shellZh} from "../src/i18n/app.zh.ts";

const shown = (text: string, query: string, around = 10) =>
  excerpt(text, searchTerms(query), around)
    .map((piece) => (piece.isMatch ? `[${piece.text}]` : piece.text))
    .join("");

test("a query is words, and what is quoted is one", () => {
  assert.deepEqual(searchTerms('two "three four" fi'), ["two", "three four", "fi"]);
  assert.deepEqual(searchTerms('"not closed yet'), ["not closed yet"]);
  assert.deepEqual(searchTerms(' "" '), []);
});

test("found words are marked, whatever their case", () => {
  assert.equal(shown("Lunch at the Boat", "boat lunch", 40), "[Lunch] at the [Boat]");
  assert.equal(shown("早上好！午饭去哪里吃？", "午饭"), "早上好！[午饭]去哪里吃？");
});

test("an excerpt begins near the first word found and is cut on both sides", () => {
  const found = shown(`${"a ".repeat(200)}needle${" b".repeat(200)}`, "needle");
  assert.match(found, /^….{1,12}\[needle\].+…$/u);
  assert.ok(found.length < 40);
});

test("an excerpt begins with a whole word, or a whole character where there are no blanks", () => {
  assert.equal(shown(`${"elephants ".repeat(9)}needle`, "needle", 12), "…elephants [needle]");
  assert.equal(shown(`${"字".repeat(30)}针在这里`, "针", 5), "…字字字字字[针]在这里");
  assert.equal(shown(`${"😀".repeat(20)}needle`, "needle", 5), "…😀😀[needle]");
  assert.equal(shown(`${"x".repeat(50)}needle`, "needle", 5), "…xxxxx[needle]");
});

test("signs that mean something in a pattern are looked for as they are", () => {
  assert.equal(shown("costs (a+b)* [x] 1.5 $ \\ /", "(a+b)*", 40), "costs [(a+b)*] [x] 1.5 $ \\ /");
  for (const sign of "\\^$.*+?()[]{}|/-") assert.equal(shown(`x${sign}`, sign, 40), `x[${sign}]`);
});

test("what would turn the direction of a line, or break it, is left out", () => {
  assert.equal(shown("a\u202Eb\nc\u0007\u2066d", "zz", 40), "ab cd");
});

test("a room's address is made of what it is called", () => {
  assert.equal(roomNameFrom("Trip to Lisbon!"), "trip-to-lisbon");
  assert.equal(roomNameFrom("  Café & Bücher "), "café-bücher");
  assert.equal(roomNameFrom("İstanbul"), "istanbul");
  assert.equal(roomNameFrom("Żółw"), "żółw");
  assert.equal(roomNameFrom("读书会"), "读书会");
  assert.equal(roomNameFrom("🎉"), "");
  assert.equal(roomNameFrom("direct:me:you"), "direct-me-you");
  assert.equal(roomNameFrom("x".repeat(65)), "");
});

type Texts = Readonly<Record<string, string | {readonly one: string; readonly other: string}>>;

const LANGUAGES: readonly (readonly [Texts, Texts])[] = [
  [shellEn, shellZh],
  [conversationEn, conversationZh],
  [wireEn, wireZh],
];

test("every text is serverConfig in both languages, with the same values filled in", () => {
  const forms = (text: Texts[string]) => (typeof text === "string" ? [text] : [text.one, text.other]);
  const values = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
  for (const [english, chinese] of LANGUAGES) {
    assert.deepEqual(Object.keys(chinese).sort(), Object.keys(english).sort());
    for (const [key, text] of Object.entries(english)) {
      const wanted = values(forms(text).at(-1)!);
      for (const form of forms(chinese[key]!)) assert.deepEqual(values(form), wanted, key);
    }
  }
});

test("a comma or a semicolon ends a name, a blank does not", () => {
  assert.deepEqual(withText(NO_NAMES, "finn, Ada Love"), {names: ["finn"], pending: " Ada Love"});
  assert.deepEqual(completed(withText(NO_NAMES, "finn, Ada Lovelace")).names, ["finn", "Ada Lovelace"]);
  assert.deepEqual(completed(withText(NO_NAMES, "a;b；c，d、e")).names, ["a", "b", "c", "d", "e"]);
});

test("what is still being written when the form is sent is a name as well, once", () => {
  const people = withText({names: ["finn"], pending: ""}, "bob");
  assert.deepEqual(people, {names: ["finn"], pending: "bob"});
  assert.deepEqual(completed(people), {names: ["finn", "bob"], pending: ""});
  assert.deepEqual(completed(withText(people, "finn")).names, ["finn"]);
  assert.deepEqual(completed(withText(people, " , ")).names, ["finn"]);
});

test("a name with a space is wrong, and another one is proposed", () => {
  assert.ok(hasSpace("Ada Lovelace") && hasSpace("a\u00a0b") && !hasSpace("Ada.Lovelace"));
  assert.equal(suggestedName("Ada  King Lovelace"), "Ada.King.Lovelace");
});

test("what the service says begins with a capital where it stands alone, and a field's name stays as it is", () => {
  assert.equal(sentence("the token is not a JWT; get a new one"), "The token is not a JWT; get a new one");
  assert.equal(sentence("members_max: 5 at most"), "members_max: 5 at most");
  assert.equal(sentence("'ada' has left"), "'ada' has left");
});
