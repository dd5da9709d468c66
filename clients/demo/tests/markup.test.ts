import assert from "node:assert/strict";
import {test} from "node:test";
import {findEmoji, QUICK_REACTIONS} from "../src/conversation/emoji/emoji.ts";
import {type TextSegment, parseMarkup, plainText} from "../src/conversation/markup.ts";
import {truncate, bytesOf, oneLine, normalizeForSending} from "../src/conversation/text.ts";

/** All segments, those inside of others too. */
const flat = (segments: readonly TextSegment[]): TextSegment[] => segments.flatMap((segment) => [segment, ...insideOf(segment).flatMap(flat)]);
const insideOf = (segment: TextSegment): (readonly TextSegment[])[] => (segment.kind === "list" ? segment.items.map((item) => item.segments) : "segments" in segment ? [segment.segments] : []);
const links = (text: string) => flat(parseMarkup(text)).flatMap((segment) => (segment.kind === "link" ? [segment.text] : []));
const said = (segments: readonly TextSegment[]): string =>
  segments.map((segment) => (segment.kind === "symbol" ? `[${segment.text}]` : "text" in segment ? segment.text : insideOf(segment).map(said).join("|"))).join("");
const shown = (text: string) => said(parseMarkup(text));
const codes = (text: string, cut = false) => parseMarkup(text, cut).flatMap((segment) => (segment.kind === "code" ? [said(segment.segments)] : []));
/** As HTML would have it, for reading: <strong>a</strong>. */
const drawn = (segments: readonly TextSegment[]): string =>
  segments
    .map((segment) => {
      if (segment.kind === "list") return `<ul>${segment.items.map(({number, depth, segments: own}) => `<li ${number} ${depth}>${drawn(own)}`).join("")}</ul>`;
      if (segment.kind === "link") return `<a ${segment.href}>${segment.text}</a>`;
      return "text" in segment ? segment.text : `<${segment.kind}>${drawn(segment.segments)}</${segment.kind}>`;
    })
    .join("");
const marked = (text: string) => drawn(parseMarkup(text));

test("only http and https addresses become links", () => {
  assert.deepEqual(links("see https://example.org/a?b=1#c, and http://example.org."), ["https://example.org/a?b=1#c", "http://example.org"]);
  assert.deepEqual(links("https://example.org\nhttps://example.com/x"), ["https://example.org", "https://example.com/x"]);
  assert.deepEqual(links("(https://example.org/wiki/A_(b))"), ["https://example.org/wiki/A_(b)"]);
  assert.deepEqual(links("看https://example.org/路径。好"), ["https://example.org/路径。好"]);
  for (const text of ["javascript:alert(1)", "data:text/html,x", "ftp://example.org", "https://", "file:///x", "example.org", "vbscript:x"]) {
    assert.deepEqual(links(text), [], text);
  }
});

test("an address with bidi overrides is not a link", () => {
  assert.deepEqual(links("http://exa\u202emple.com/x"), []);
  assert.deepEqual(links("http://example.com/\u0007x"), []);
});

test("an address of trailing punctuation only is parsed in one pass", () => {
  // A quadratic or recursive parser would block the page for minutes, or overflow the stack, on each of these.
  for (const signs of [`${".".repeat(250_000)}a`, ")".repeat(250_000), ").".repeat(125_000), `${"(".repeat(125_000)}${")".repeat(125_000)}.`]) {
    assert.equal(links(`http://a/${signs}`).length, 1);
    assert.equal(normalizeForSending(`a${" ".repeat(250_000)}b `).length, 250_002);
  }
  assert.deepEqual(links("(see http://a/(b)).) and http://a/)).,)"), ["http://a/(b)", "http://a/"]);
});

test("text between backticks is code, without links or invisible characters", () => {
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

test("64 KB of backticks, in any order, are parsed in one pass", () => {
  // A new search for the end of each would take billions of steps.
  for (const part of ["`", "``", "```", "````", "` ", "`a", "`\n", "``` ", "```a", "```\n", "```` ", "```` ` ", "``` ```` ", "` ``", "`a`", "``a```"]) {
    const text = part.repeat(65_536 / part.length);
    for (const all of [text, `\`${text}`, `\`\`\`\n${text}`, `${text}a`]) {
      assert.ok(shown(all).length <= all.length);
      assert.ok(parseMarkup(all, true).length > 0);
    }
  }
});

test("markers around words make them bold, italic or struck through", () => {
  assert.equal(marked("**bold** *it* _it_ ~~gone~~ ***both***"), "<strong>bold</strong> <em>it</em> <em>it</em> <del>gone</del> <strong><em>both</em></strong>");
  assert.equal(marked("**bold and *both* and `co*de*`**"), "<strong>bold and <em>both</em> and <code>co*de*</code></strong>");
  assert.equal(marked("这是**粗体**文字，*强调*也行"), "这是<strong>粗体</strong>文字，<em>强调</em>也行");
  assert.equal(marked("مرحبا **بكم** هنا"), "مرحبا <strong>بكم</strong> هنا");
  assert.equal(marked("**https://example.org**"), "<strong><a https://example.org/>https://example.org</a></strong>");
});

test("single markers, and markers not closed on their line, stay text", () => {
  const literal = ["2*3*4", "2 * 3 * 4", "a * b", "snake_case_name", "_", "**", "a ** b", "f(**kwargs, **more)", "*.py and *.ts", "¯\\_(ツ)_/¯", "~5 ~6~", "**not closed", "*a\nb*", "**a\nb**", "/usr/_x_/", "__init__", "****a****"];
  for (const text of literal) assert.equal(marked(text), text);
  assert.equal(marked("**bold *and** text*"), "<strong>bold *and</strong> text*");
});

test("lists and quotes are blocks", () => {
  assert.equal(marked("to do:\n- a **b**\n  goes on\n  - c\n* d\nafter"), "to do:<ul><li 0 0>a <strong>b</strong>\ngoes on<li 0 1>c<li 0 0>d</ul>after");
  assert.equal(marked("3. c\n4) d"), "<ul><li 3 0>c<li 4 0>d</ul>");
  assert.equal(marked("> said\n> *so*\nno"), "<quote>said\n<em>so</em></quote>no");
  assert.equal(marked("- a\n```\n- x\n```"), "<ul><li 0 0>a</ul><code>- x</code>");
  for (const text of ["-1 degrees", "- ", ">:(", "1.5 km", "2024. A year", "-"]) assert.equal(marked(text), text);
});

test("the text of a named link must not look like another address", () => {
  assert.equal(marked("see [the docs](https://example.org/a_b_c)!"), "see <a https://example.org/a_b_c>the docs</a>!");
  assert.deepEqual(links("[v1.2 and later](https://example.org)"), ["v1.2 and later"]);
  for (const text of ["[x](javascript:alert(1))", "[x](data:text/html,x)", "[x](//example.org)", "[x]()", "[](https://)"]) assert.deepEqual(links(text), [], text);
  for (const words of ["https://bank.example", "bank.example", "www.bank.example/login", "bank。example", "127.0.0.1"]) {
    assert.ok(!links(`[${words}](https://evil.example/)`).includes(words), words);
    assert.equal(shown(`[${words}](https://evil.example/)`), `[${words}](https://evil.example/)`, "the address itself is shown");
  }
  assert.ok(!links("[\u2067x](https://evil.example/)").includes("\u2067x"));
});

test("64 KB of markers, in any order, are parsed in one pass with bounded nesting", () => {
  const depth = (segments: readonly TextSegment[]): number => Math.max(0, ...segments.slice(0, 1000).flatMap((segment) => insideOf(segment).map((own) => 1 + depth(own))));
  for (const part of ["*", "**", "***a", "* a", "*a ", "_a", "~~", "~~a~~", "[", "[a](", "](http://a", "[a](http://a)", "> ", "- ", "- a\n", "> a\n", "1. ", "*a **b _c ~~d ", "a**_~~", "  ", "\t- a\n  b\n", "http://a*", "http://a)"]) {
    const text = part.repeat(65_536 / part.length);
    assert.ok(depth(parseMarkup(text)) <= 6, part);
    assert.ok(plainText(text).length <= 2 * text.length);
  }
});

test("a preview has the text without markup", () => {
  assert.equal(oneLine("```py\nprint(1)\n```", 80), "print(1)");
  assert.equal(oneLine("```py\nprint(1)", 80), "```py print(1)");
  assert.equal(oneLine("**Plan**:\n- a\n- b `c`\n> so\nsee [docs](https://example.org)", 80), "Plan: • a • b c so see docs");
});

test("markup stays text", () => {
  const text = '<img src=x onerror=alert(1)></script>&lt;{{x}}"\'`';
  assert.deepEqual(parseMarkup(text), [{kind: "text", text}]);
});

test("invisible characters with an effect are shown by name", () => {
  assert.equal(shown("a\u0000b\u001b[31mc\u0085\td\n"), "a[U+0000]b[U+001B][31mc[U+0085]\td\n");
  assert.equal(shown("\u202egnp.exe"), "[RLO]gnp.exe");
});

test("a long text is folded at characters and lines, never inside a character", () => {
  assert.deepEqual(truncate("short", 1200, 24), {text: "short", more: 0});
  assert.deepEqual(truncate("x".repeat(5000), 1200, 24), {text: "x".repeat(1200), more: 3800});
  const lines = Array.from({length: 100}, (_, at) => `line ${at}`).join("\n");
  assert.equal(truncate(lines, 1200, 24).text.split("\n").length, 24);
  const faces = "😀".repeat(1000);
  assert.equal(truncate(faces, 601, 24).text, "😀".repeat(300));
  assert.equal(truncate("x".repeat(1300), 1200, 24).more, 0, "a few more are shown at once");
});

test("folding shows the whole text in the end", () => {
  for (const text of ["x".repeat(65_536), "\n".repeat(65_536), "ab\n".repeat(20_000)]) {
    let times = 1;
    while (truncate(text, 1200 * times, 24 * times).more) times *= 16;
    assert.ok(times <= 16 ** 3);
  }
});

test("a sent text is normalized as the service requires", () => {
  assert.equal(normalizeForSending("  a\r\nb\rc\u2028d  \n\n"), "  a\nb\nc\nd");
  assert.equal(normalizeForSending("a\u0000\u001b\u0085b\tc"), "ab\tc");
  assert.equal(normalizeForSending("a\ud800b"), "a\ufffdb");
  assert.equal(normalizeForSending(" \n\t "), "");
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

test("the emoji picker starts with the quick reactions, each once", () => {
  const chars = findEmoji("").map(({char}) => char);
  assert.deepEqual(chars.slice(0, QUICK_REACTIONS.length), QUICK_REACTIONS);
  assert.equal(new Set(chars).size, chars.length);
});
