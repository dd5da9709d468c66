import assert from "node:assert/strict";
import {test} from "node:test";
import {findEmoji, QUICK} from "../src/conversation/emoji/emoji.ts";
import {beginningOf, bytesOf, oneLine, type Piece, piecesOf, sendable} from "../src/conversation/text.ts";

const links = (text: string) => piecesOf(text).flatMap((piece) => (piece.kind === "link" ? [piece.text] : []));
const said = (pieces: readonly Piece[]): string =>
  pieces.map((piece) => (piece.kind === "code" ? said(piece.pieces) : piece.kind === "symbol" ? `[${piece.text}]` : piece.text)).join("");
const shown = (text: string) => said(piecesOf(text));
const codes = (text: string, cut = false) => piecesOf(text, cut).flatMap((piece) => (piece.kind === "code" ? [said(piece.pieces)] : []));

test("addresses of the web become links, and nothing else does", () => {
  assert.deepEqual(links("see https://example.org/a?b=1#c, and http://example.org."), ["https://example.org/a?b=1#c", "http://example.org"]);
  assert.deepEqual(links("https://example.org\nhttps://example.com/x"), ["https://example.org", "https://example.com/x"]);
  assert.deepEqual(links("(https://example.org/wiki/A_(b))"), ["https://example.org/wiki/A_(b)"]);
  assert.deepEqual(links("看https://example.org/路径。好"), ["https://example.org/路径。好"]);
  for (const text of ["javascript:alert(1)", "data:text/html,x", "ftp://example.org", "https://", "file:///x", "example.org", "vbscript:x"]) {
    assert.deepEqual(links(text), [], text);
  }
});

test("an address in which letters are turned around is no link", () => {
  assert.deepEqual(links("http://exa\u202emple.com/x"), []);
  assert.deepEqual(links("http://example.com/\u0007x"), []);
});

test("an address of nothing but signs at which it may end is read in one pass", () => {
  // In two nested ones, or step by step into itself, each of these is minutes of a page that hangs, or a full stack.
  for (const signs of [`${".".repeat(250_000)}a`, ")".repeat(250_000), ").".repeat(125_000), `${"(".repeat(125_000)}${")".repeat(125_000)}.`]) {
    assert.equal(links(`http://a/${signs}`).length, 1);
    assert.equal(sendable(`a${" ".repeat(250_000)}b `).length, 250_002);
  }
  assert.deepEqual(links("(see http://a/(b)).) and http://a/)).,)"), ["http://a/(b)", "http://a/"]);
});

test("what is between backticks is code, and nothing in it is a link or unseen", () => {
  assert.deepEqual(codes("run `make page`, then `git commit`"), ["make page", "git commit"]);
  assert.equal(shown("run `make page`, then"), "run make page, then");
  assert.deepEqual(codes("see\n```ts\nconst a = `b`;\n\n```\nafter"), ["const a = `b`;\n"]);
  assert.equal(shown("see\n```\na\n```\nafter"), "see\naafter", "a block begins and ends lines by itself");
  assert.deepEqual(codes("```one line```"), ["one line"]);
  assert.deepEqual(links("`https://example.org` https://example.com"), ["https://example.com"]);
  assert.deepEqual(codes("`a\u202eb`"), ["a[RLO]b"]);
  for (const text of ["a ` b", "`a\nb`", "``", "``a``", "```", "``` a", "``````", "````\na\n````"]) {
    assert.deepEqual(codes(text), [], text);
    assert.equal(shown(text), text);
  }
  assert.deepEqual(codes("``` a", true), [" a"], "a folded block may end further down");
});

test("64 KB of backticks, in any order, are read in one pass", () => {
  // Looking for the end of each anew would be billions of steps.
  for (const part of ["`", "``", "```", "````", "` ", "`a", "`\n", "``` ", "```a", "```\n", "```` ", "```` ` ", "``` ```` ", "` ``", "`a`", "``a```"]) {
    const text = part.repeat(65_536 / part.length);
    for (const all of [text, `\`${text}`, `\`\`\`\n${text}`, `${text}a`]) {
      assert.ok(shown(all).length <= all.length);
      assert.ok(piecesOf(all, true).length > 0);
    }
  }
});

test("markup stays text", () => {
  const text = '<img src=x onerror=alert(1)></script>&lt;{{x}}"\'`';
  assert.deepEqual(piecesOf(text), [{kind: "text", text}]);
});

test("characters that act without being seen are shown as what they are", () => {
  assert.equal(shown("a\u0000b\u001b[31mc\u0085\td\n"), "a[U+0000]b[U+001B][31mc[U+0085]\td\n");
  assert.equal(shown("\u202egnp.exe"), "[RLO]gnp.exe");
});

test("a long text is folded at characters and lines, and never inside a character", () => {
  assert.deepEqual(beginningOf("short", 1200, 24), {text: "short", more: 0});
  assert.deepEqual(beginningOf("x".repeat(5000), 1200, 24), {text: "x".repeat(1200), more: 3800});
  const lines = Array.from({length: 100}, (_, at) => `line ${at}`).join("\n");
  assert.equal(beginningOf(lines, 1200, 24).text.split("\n").length, 24);
  const faces = "😀".repeat(1000);
  assert.equal(beginningOf(faces, 601, 24).text, "😀".repeat(300));
  assert.equal(beginningOf("x".repeat(1300), 1200, 24).more, 0, "a few more are shown at once");
});

test("folding shows the whole text in the end", () => {
  for (const text of ["x".repeat(65_536), "\n".repeat(65_536), "ab\n".repeat(20_000)]) {
    let times = 1;
    while (beginningOf(text, 1200 * times, 24 * times).more) times *= 16;
    assert.ok(times <= 16 ** 3);
  }
});

test("what is sent is what the service takes", () => {
  assert.equal(sendable("  a\r\nb\rc\u2028d  \n\n"), "  a\nb\nc\nd");
  assert.equal(sendable("a\u0000\u001b\u0085b\tc"), "ab\tc");
  assert.equal(sendable("a\ud800b"), "a\ufffdb");
  assert.equal(sendable(" \n\t "), "");
});

test("bytes are counted as the service counts them", () => {
  assert.equal(bytesOf("é"), 2);
  assert.equal(bytesOf("e\u0301"), 2, "after NFC");
  assert.equal(bytesOf("😀"), 4);
});

test("a quote is one line", () => {
  assert.equal(oneLine("a\n\n b\u202ec", 20), "a bRLOc");
  assert.equal(oneLine("x".repeat(50), 10), `${"x".repeat(10)}…`);
});

test("emoji are found by words of both languages", () => {
  assert.equal(findEmoji("rock")[0]?.char, "🚀");
  assert.equal(findEmoji("发布")[0]?.char, "🚀");
  assert.deepEqual(findEmoji("nothing like this"), []);
  assert.ok(findEmoji("").length > 100);
});

test("the choice of emoji begins with the quick ones, each once", () => {
  const chars = findEmoji("").map(({char}) => char);
  assert.deepEqual(chars.slice(0, QUICK.length), QUICK);
  assert.equal(new Set(chars).size, chars.length);
});
