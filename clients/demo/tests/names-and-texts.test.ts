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

test("a query is words, and a quoted part is one term", () => {
  assert.deepEqual(searchTerms('two "three four" fi'), ["two", "three four", "fi"]);
  assert.deepEqual(searchTerms('"not closed yet'), ["not closed yet"]);
  assert.deepEqual(searchTerms(' "" '), []);
});

test("matches are marked, ignoring case", () => {
  assert.equal(shown("Lunch at the Boat", "boat lunch", 40), "[Lunch] at the [Boat]");
  assert.equal(shown("早上好！午饭去哪里吃？", "午饭"), "早上好！[午饭]去哪里吃？");
});

test("an excerpt starts near the first match and is cut on both sides", () => {
  const found = shown(`${"a ".repeat(200)}needle${" b".repeat(200)}`, "needle");
  assert.match(found, /^….{1,12}\[needle\].+…$/u);
  assert.ok(found.length < 40);
});

test("an excerpt starts with a whole word, or a whole character if there are no spaces", () => {
  assert.equal(shown(`${"elephants ".repeat(9)}needle`, "needle", 12), "…elephants [needle]");
  assert.equal(shown(`${"字".repeat(30)}针在这里`, "针", 5), "…字字字字字[针]在这里");
  assert.equal(shown(`${"😀".repeat(20)}needle`, "needle", 5), "…😀😀[needle]");
  assert.equal(shown(`${"x".repeat(50)}needle`, "needle", 5), "…xxxxx[needle]");
});

test("regular-expression characters in a query are matched literally", () => {
  assert.equal(shown("costs (a+b)* [x] 1.5 $ \\ /", "(a+b)*", 40), "costs [(a+b)*] [x] 1.5 $ \\ /");
  for (const sign of "\\^$.*+?()[]{}|/-") assert.equal(shown(`x${sign}`, sign, 40), `x[${sign}]`);
});

test("bidi and control characters are removed from an excerpt", () => {
  assert.equal(shown("a\u202Eb\nc\u0007\u2066d", "zz", 40), "ab cd");
});

test("the name of an open room is made from its title", () => {
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

test("every text exists in both languages, with the same placeholders", () => {
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

test("a comma or a semicolon ends a name, a space does not", () => {
  assert.deepEqual(withText(NO_NAMES, "finn, Ada Love"), {names: ["finn"], pending: " Ada Love"});
  assert.deepEqual(completed(withText(NO_NAMES, "finn, Ada Lovelace")).names, ["finn", "Ada Lovelace"]);
  assert.deepEqual(completed(withText(NO_NAMES, "a;b；c，d、e")).names, ["a", "b", "c", "d", "e"]);
});

test("the pending name is included when the form is submitted, once", () => {
  const people = withText({names: ["finn"], pending: ""}, "bob");
  assert.deepEqual(people, {names: ["finn"], pending: "bob"});
  assert.deepEqual(completed(people), {names: ["finn", "bob"], pending: ""});
  assert.deepEqual(completed(withText(people, "finn")).names, ["finn"]);
  assert.deepEqual(completed(withText(people, " , ")).names, ["finn"]);
});

test("a name with a space is invalid, and another one is suggested", () => {
  assert.ok(hasSpace("Ada Lovelace") && hasSpace("a\u00a0b") && !hasSpace("Ada.Lovelace"));
  assert.equal(suggestedName("Ada  King Lovelace"), "Ada.King.Lovelace");
});

test("an error text starts with a capital, unless with the name of a field", () => {
  assert.equal(sentence("the token is not a JWT; get a new one"), "The token is not a JWT; get a new one");
  assert.equal(sentence("members_max: 5 at most"), "members_max: 5 at most");
  assert.equal(sentence("'ada' has left"), "'ada' has left");
});
