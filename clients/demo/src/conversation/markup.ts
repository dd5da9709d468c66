/**
 * Parses the text of a message into segments. Nothing here becomes HTML.
 *
 * The markup is a small part of Markdown: `**bold**`, `*italic*` or `_italic_`, `~~struck~~`, `` `code` ``, code blocks
 * between lines of three backticks, lists (`- a`, `1. a`), quotes (`> a`), and `[text](https://…)`. Emphasis ends on the line
 * on which it starts. Markers that are not closed, or inside a word (snake_case, 2*3*4), are text.
 *
 * Links are http and https only. A link ends before any character that could make an address look like another one, and the
 * text of a named link must not look like an address. Invisible characters with an effect are shown by name: control
 * characters, and the two that override the text direction (a file "gnp.exe" shown as "exe.png").
 *
 * Parsing is linear in the text, whatever the text is, and segments are nested six deep at most.
 */
export type TextSegment =
  | {readonly kind: "text"; readonly text: string}
  | {readonly kind: "link"; readonly text: string; readonly href: string}
  /** A character that is shown by its name. */
  | {readonly kind: "symbol"; readonly text: string}
  /** Texts and symbols, without the backticks. `block`: a code block. */
  | {readonly kind: "code"; readonly block: boolean; readonly segments: readonly TextSegment[]}
  | {readonly kind: Emphasis; readonly segments: readonly TextSegment[]}
  /** Blocks, as the next kind. */
  | {readonly kind: "quote"; readonly segments: readonly TextSegment[]}
  | {readonly kind: "list"; readonly items: readonly Item[]};

export type Emphasis = "strong" | "em" | "del";

export interface Item {
  /** The number as typed; 0: no number. */
  readonly number: number;
  /** The level of indentation: 0 to 3. */
  readonly depth: number;
  readonly segments: readonly TextSegment[];
}

// Opening and closing markers are the same, and a code segment contains no backtick of its kind, so all searches for an end
// are linear in total. The language after the opening backticks is not shown.
const CODE_BLOCK = /(?<!`)```(?!`)(?:[\w+#-]{0,20}\n)?([^]+?)/.source;
const CODE_BLOCKS = new RegExp(`${CODE_BLOCK}${/\n?(?<!`)```(?!`)\n?/.source}`, "g");
const CODE_BLOCKS_TRUNCATED = new RegExp(`${CODE_BLOCK}${/(?:\n?(?<!`)```(?!`)\n?|$)/.source}`, "g");

const QUOTE = /^ {0,3}> (.*)$/;
const ITEM = /^([ \t]{0,12})(?:[-*]|(\d{1,3})[.)])[ \t]+(\S.*)$/;
const CONTINUED = /^(?: {2}|\t)[ \t]*(\S.*)$/;
const STEP_SPACES = 2;
const DEPTH_MAX = 3;

const CODE = /(?<!`)`([^`\n]+)`(?!`)/.source;
const NAMED_LINK = /\[([^[\]\n]+)\]\((https?:\/\/[^\s()<>"'`\p{Cc}\p{Cf}]+)\)/u.source;
const LINK = /https?:\/\/[^\s<>"'`\p{Cc}\p{Cf}]+/u.source;
const INLINE = new RegExp(`${CODE}|${NAMED_LINK}|(${LINK})|([*_]+|~+)`, "giu");
const DECEPTIVE = /[\u0000-\u0008\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/u; // an address followed by one of these is not a link
const ADDRESS_LIKE = /:\/\/|[.\u3002\uff0e\uff61]\p{L}{2}|\d+(?:\.\d+){3}/u; // a link text like "bank.example" could name another address than its target
const TRAILING = ".,;:!?…。，、；：！？”’»）】」』*~"; // part of the sentence, not of the address
// All control characters except tab and newline, and the bidi overrides.
const SYMBOL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202d\u202e]/g;
const SYMBOL_NAMES: Readonly<Record<string, string>> = {"\u202d": "LRO", "\u202e": "RLO"};

/** `cut`: the text is the start of a longer one, so a code block may continue to its end. */
export function parseMarkup(text: string, cut = false): TextSegment[] {
  const segments: TextSegment[] = [];
  let from = 0;
  for (const found of text.matchAll(cut ? CODE_BLOCKS_TRUNCATED : CODE_BLOCKS)) {
    parseBlocks(segments, text.slice(from, found.index));
    segments.push({kind: "code", block: true, segments: symbolSegments(found[1]!)});
    from = found.index + found[0].length;
  }
  parseBlocks(segments, text.slice(from));
  return segments;
}

/** The text without its markup. */
export function plainText(text: string, cut = false): string {
  return textOf(parseMarkup(text, cut));
}

function textOf(segments: readonly TextSegment[]): string {
  let all = "";
  const line = (text: string): void => void (all += `${all && !all.endsWith("\n") ? "\n" : ""}${text}\n`);
  for (const segment of segments) {
    if (segment.kind === "list") for (const {number, segments: own} of segment.items) line(`${number ? `${number}.` : "•"} ${textOf(own)}`);
    else if (segment.kind === "quote" || (segment.kind === "code" && segment.block)) line(textOf(segment.segments));
    else all += "segments" in segment ? textOf(segment.segments) : segment.text;
  }
  return all;
}

/** Parses runs of lines of one kind: quotes, list items, and other text. */
function parseBlocks(segments: TextSegment[], text: string): void {
  let texts: string[] = [];
  let quoted: string[] = [];
  let items: {number: number; depth: number; lines: string[]}[] = [];
  const end = (): void => {
    if (texts.length) parseInline(segments, texts.join("\n"));
    if (quoted.length) segments.push({kind: "quote", segments: parseInline([], quoted.join("\n"))});
    if (items.length) segments.push({kind: "list", items: items.map(({number, depth, lines: own}) => ({number, depth, segments: parseInline([], own.join("\n"))}))});
    [texts, quoted, items] = [[], [], []];
  };
  for (const line of text.split("\n")) {
    const quote = QUOTE.exec(line);
    const item = quote ? null : ITEM.exec(line);
    const more = items.length ? CONTINUED.exec(line) : null;
    if (quote) {
      if (!quoted.length) end();
      quoted.push(quote[1]!);
    } else if (item) {
      if (!items.length) end();
      const depth = Math.min(DEPTH_MAX, Math.floor(item[1]!.replaceAll("\t", "  ").length / STEP_SPACES));
      items.push({number: Number(item[2] ?? 0), depth, lines: [item[3]!]});
    } else if (more) items.at(-1)!.lines.push(more[1]!);
    else {
      if (!texts.length) end();
      texts.push(line);
    }
  }
  end();
}

const EMPHASIS_MARKERS: Readonly<Record<string, readonly Emphasis[]>> = {"*": ["em"], _: ["em"], "**": ["strong"], "***": ["strong", "em"], "~~": ["del"]};
// Next to these characters a marker is part of a word: 2*3*4, or a name or path with _. Double markers count everywhere,
// because Chinese has no spaces between words.
const INSIDE_WORDS: Readonly<Record<string, RegExp>> = {"*": /[A-Za-z0-9]/, _: /[\p{L}\p{N}\\/]/u};
const NEVER = /(?!)/;

/** An open emphasis: its segments so far, and its marker, which becomes text if it is not closed. */
interface OpenEmphasis {
  readonly kind: Emphasis;
  readonly marker: string;
  readonly segments: TextSegment[];
}

/** Appends the links, code and emphasis of some lines to `into`. */
function parseInline(into: TextSegment[], text: string): TextSegment[] {
  for (const [at, line] of text.split("\n").entries()) {
    if (at) append(into, {kind: "text", text: "\n"});
    new LineParser(into, line).parse();
  }
  return into;
}

/** Parses one line, with a stack of open emphasis. */
class LineParser {
  private readonly openEmphasis: OpenEmphasis[] = [];
  private from = 0;

  constructor(
    private readonly into: TextSegment[],
    private readonly line: string,
  ) {}

  parse(): void {
    const {line} = this;
    INLINE.lastIndex = 0;
    for (let found = INLINE.exec(line); found; found = INLINE.exec(line)) {
      const [whole, code, named, address, bare, signs] = found;
      const {index} = found;
      if (signs !== undefined) this.onMarker(signs, index);
      else if (code !== undefined) this.addSegment(index, index + whole.length, {kind: "code", block: false, segments: symbolSegments(code)});
      else if (named !== undefined) {
        const link = linkOf(named, address!);
        if (link) this.addSegment(index, index + whole.length, link);
        else INLINE.lastIndex = index + 1; // the address alone may be a link
      } else {
        const written = trimTrailing(bare!);
        const href = webAddress(written);
        if (!href || DECEPTIVE.test(line[index + whole.length] ?? "")) continue;
        this.addSegment(index, index + written.length, {kind: "link", text: written, href});
        INLINE.lastIndex = this.from;
      }
    }
    this.addText(line.length);
    while (this.openEmphasis.length) this.discardInnermost();
  }

  private get out(): TextSegment[] {
    return this.openEmphasis.at(-1)?.segments ?? this.into;
  }

  private addSegment(from: number, to: number, segment: TextSegment): void {
    this.addText(from);
    append(this.out, segment);
    this.from = to;
  }

  private addText(to: number): void {
    for (const segment of symbolSegments(this.line.slice(this.from, to))) append(this.out, segment);
  }

  private onMarker(signs: string, at: number): void {
    const kinds = EMPHASIS_MARKERS[signs];
    if (!kinds) return;
    const {line, openEmphasis: begun} = this;
    const end = at + signs.length;
    const [mayBegin, mayEnd] = flanks(signs, line[at - 1] ?? " ", line[end] ?? " ");
    const same = begun.filter(({kind, marker: sign}) => kinds.includes(kind) && sign[0] === signs[0]);
    const ends = same.length === kinds.length && mayEnd;
    if (!ends && (!mayBegin || begun.some(({kind}) => kinds.includes(kind)))) return;
    this.addText(at);
    this.from = end;
    if (ends) this.closeEmphasis(kinds);
    else for (const [place, kind] of kinds.entries()) begun.push({kind, marker: place ? signs[0]! : signs.slice(kinds.length - 1), segments: []});
  }

  /** Close these kinds. Emphasis that was opened inside them and not closed becomes text. */
  private closeEmphasis(kinds: readonly Emphasis[]): void {
    for (let left = kinds.length; left > 0; ) {
      const {kind, segments} = this.openEmphasis.at(-1)!;
      if (!kinds.includes(kind)) {
        this.discardInnermost();
        continue;
      }
      this.openEmphasis.pop();
      append(this.out, {kind, segments});
      left -= 1;
    }
  }

  /** The innermost emphasis was not closed: its marker becomes text. */
  private discardInnermost(): void {
    const {marker: sign, segments} = this.openEmphasis.pop()!;
    append(this.out, {kind: "text", text: sign});
    for (const segment of segments) append(this.out, segment);
  }
}

/** Whether these markers may open emphasis between these two characters, and whether they may close it. */
function flanks(signs: string, before: string, after: string): [boolean, boolean] {
  const inside = INSIDE_WORDS[signs] ?? NEVER;
  return [/\S/.test(after) && !inside.test(before), /\S/.test(before) && !inside.test(after)];
}

function append(segments: TextSegment[], segment: TextSegment): void {
  const last = segments.at(-1);
  if (segment.kind === "text" && last?.kind === "text") segments[segments.length - 1] = {kind: "text", text: last.text + segment.text};
  else segments.push(segment);
}

function linkOf(named: string, written: string): TextSegment | undefined {
  const href = webAddress(written);
  const text = named.replace(SYMBOL, nameOf).trim();
  return href && text && !ADDRESS_LIKE.test(text) && !DECEPTIVE.test(text) ? {kind: "link", text, href} : undefined;
}

function symbolSegments(text: string): TextSegment[] {
  const segments: TextSegment[] = [];
  let from = 0;
  for (const found of text.matchAll(SYMBOL)) {
    if (found.index > from) segments.push({kind: "text", text: text.slice(from, found.index)});
    segments.push({kind: "symbol", text: nameOf(found[0])});
    from = found.index + 1;
  }
  if (from < text.length) segments.push({kind: "text", text: text.slice(from)});
  return segments;
}

function nameOf(char: string): string {
  return SYMBOL_NAMES[char] ?? `U+${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

/** One pass from the end, because a hostile text may consist of such characters only. */
function trimTrailing(address: string): string {
  // A closing bracket without an opening one in the address is part of the sentence.
  let unopened = address.split(")").length - address.split("(").length;
  let end = address.length;
  for (; end > 0; end -= 1) {
    const last = address[end - 1]!;
    if (last === ")" && unopened > 0) unopened -= 1;
    else if (!TRAILING.includes(last)) break;
  }
  return address.slice(0, end);
}

function webAddress(text: string): string | undefined {
  try {
    const {protocol, href, host} = new URL(text);
    return (protocol === "http:" || protocol === "https:") && host ? href : undefined;
  } catch {
    return undefined;
  }
}
