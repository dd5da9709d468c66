/**
 * A text that somebody typed, as pieces that can be shown as they are: nothing here becomes HTML.
 *
 * The markup is a small part of Markdown: `**bold**`, `*italic*` or `_italic_`, `~~struck~~`, `` `code` ``, code between lines
 * of three backticks, lists (`- a`, `1. a`), quotes (`> a`), and `[words](https://…)`. Emphasis ends on the line on which it
 * began. What is not closed, or stands in the middle of a word (snake_case, 2*3*4), is text.
 *
 * Links are http and https only, and end where a character begins that could make an address look like another one; the words
 * of a link must not look like an address. Characters that cannot be seen but do something are shown as what they are: control
 * characters, and the two that turn the letters behind them around ("exe.png" that is a "gnp.exe").
 *
 * Each character is looked at a few times at most, whatever somebody sends, and pieces are nested six deep at most.
 */
export type TextSegment =
  | {readonly kind: "text"; readonly text: string}
  | {readonly kind: "link"; readonly text: string; readonly href: string}
  /** A character that is shown by its name. */
  | {readonly kind: "symbol"; readonly text: string}
  /** Texts and symbols without the backticks around them. `block`: lines of their own. */
  | {readonly kind: "code"; readonly block: boolean; readonly pieces: readonly TextSegment[]}
  | {readonly kind: Emphasis; readonly pieces: readonly TextSegment[]}
  /** Lines of their own, as the following kind. */
  | {readonly kind: "quote"; readonly pieces: readonly TextSegment[]}
  | {readonly kind: "list"; readonly items: readonly Item[]};

export type Emphasis = "strong" | "em" | "del";

export interface Item {
  /** As it was written: 0 has no number. */
  readonly number: number;
  /** How far it is indented, in steps of a list: 0 to 3. */
  readonly depth: number;
  readonly pieces: readonly TextSegment[];
}

// What opens closes as well, and whatever else is in a code has no backtick of its kind, so looking for the end of each is
// linear in total. The language behind the opening three is not shown.
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
const DECEPTIVE = /[\u0000-\u0008\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/u; // an address that goes on like this is none
const ADDRESS_LIKE = /:\/\/|[.\u3002\uff0e\uff61]\p{L}{2}|\d+(?:\.\d+){3}/u; // words like "bank.example" would say another address than they lead to
const TRAILING = ".,;:!?…。，、；：！？”’»）】」』*~"; // belongs to the sentence, not to the address
// All controls but tab and newline, and the overrides.
const SYMBOL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202d\u202e]/g;
const SYMBOL_NAMES: Readonly<Record<string, string>> = {"\u202d": "LRO", "\u202e": "RLO"};

/** `cut`: it is the beginning of a longer text, so that lines of code may go on to its end. */
export function parseMarkup(text: string, cut = false): TextSegment[] {
  const pieces: TextSegment[] = [];
  let from = 0;
  for (const found of text.matchAll(cut ? CODE_BLOCKS_TRUNCATED : CODE_BLOCKS)) {
    parseBlocks(pieces, text.slice(from, found.index));
    pieces.push({kind: "code", block: true, pieces: symbolSegments(found[1]!)});
    from = found.index + found[0].length;
  }
  parseBlocks(pieces, text.slice(from));
  return pieces;
}

/** The same as text alone: what is left of the markup is its words. */
export function plainText(text: string, cut = false): string {
  return textOf(parseMarkup(text, cut));
}

function textOf(pieces: readonly TextSegment[]): string {
  let all = "";
  const line = (text: string): void => void (all += `${all && !all.endsWith("\n") ? "\n" : ""}${text}\n`);
  for (const piece of pieces) {
    if (piece.kind === "list") for (const {number, pieces: own} of piece.items) line(`${number ? `${number}.` : "•"} ${textOf(own)}`);
    else if (piece.kind === "quote" || (piece.kind === "code" && piece.block)) line(textOf(piece.pieces));
    else all += "pieces" in piece ? textOf(piece.pieces) : piece.text;
  }
  return all;
}

/** Runs of lines of one kind: quotes, list items, and what is neither. */
function parseBlocks(pieces: TextSegment[], text: string): void {
  let texts: string[] = [];
  let quoted: string[] = [];
  let items: {number: number; depth: number; lines: string[]}[] = [];
  const end = (): void => {
    if (texts.length) parseInline(pieces, texts.join("\n"));
    if (quoted.length) pieces.push({kind: "quote", pieces: parseInline([], quoted.join("\n"))});
    if (items.length) pieces.push({kind: "list", items: items.map(({number, depth, lines: own}) => ({number, depth, pieces: parseInline([], own.join("\n"))}))});
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
// Beside these a sign is part of a word: of 2*3*4, or of a name or path with _. Two signs count everywhere: Chinese has no blanks
// between its words.
const INSIDE_WORDS: Readonly<Record<string, RegExp>> = {"*": /[A-Za-z0-9]/, _: /[\p{L}\p{N}\\/]/u};
const NEVER = /(?!)/;

/** Emphasis that was begun: its pieces so far, and what it is if it is not ended. */
interface OpenEmphasis {
  readonly kind: Emphasis;
  readonly marker: string;
  readonly pieces: TextSegment[];
}

/** Links, code and emphasis of some lines, put behind `into`. */
function parseInline(into: TextSegment[], text: string): TextSegment[] {
  for (const [at, line] of text.split("\n").entries()) {
    if (at) append(into, {kind: "text", text: "\n"});
    new LineParser(into, line).parse();
  }
  return into;
}

/** Reads one line, with the emphasis that is open at the moment as a stack. */
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
      else if (code !== undefined) this.addSegment(index, index + whole.length, {kind: "code", block: false, pieces: symbolSegments(code)});
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
    return this.openEmphasis.at(-1)?.pieces ?? this.into;
  }

  private addSegment(from: number, to: number, piece: TextSegment): void {
    this.addText(from);
    append(this.out, piece);
    this.from = to;
  }

  private addText(to: number): void {
    for (const piece of symbolSegments(this.line.slice(this.from, to))) append(this.out, piece);
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
    else for (const [place, kind] of kinds.entries()) begun.push({kind, marker: place ? signs[0]! : signs.slice(kinds.length - 1), pieces: []});
  }

  /** All of these end; what was begun inside of them and has not ended was none. */
  private closeEmphasis(kinds: readonly Emphasis[]): void {
    for (let left = kinds.length; left > 0; ) {
      const {kind, pieces} = this.openEmphasis.at(-1)!;
      if (!kinds.includes(kind)) {
        this.discardInnermost();
        continue;
      }
      this.openEmphasis.pop();
      append(this.out, {kind, pieces});
      left -= 1;
    }
  }

  /** The innermost is none: its sign is text. */
  private discardInnermost(): void {
    const {marker: sign, pieces} = this.openEmphasis.pop()!;
    append(this.out, {kind: "text", text: sign});
    for (const piece of pieces) append(this.out, piece);
  }
}

/** Whether these signs may begin emphasis between these two characters, and whether they may end it. */
function flanks(signs: string, before: string, after: string): [boolean, boolean] {
  const inside = INSIDE_WORDS[signs] ?? NEVER;
  return [/\S/.test(after) && !inside.test(before), /\S/.test(before) && !inside.test(after)];
}

function append(pieces: TextSegment[], piece: TextSegment): void {
  const last = pieces.at(-1);
  if (piece.kind === "text" && last?.kind === "text") pieces[pieces.length - 1] = {kind: "text", text: last.text + piece.text};
  else pieces.push(piece);
}

function linkOf(named: string, written: string): TextSegment | undefined {
  const href = webAddress(written);
  const text = named.replace(SYMBOL, nameOf).trim();
  return href && text && !ADDRESS_LIKE.test(text) && !DECEPTIVE.test(text) ? {kind: "link", text, href} : undefined;
}

function symbolSegments(text: string): TextSegment[] {
  const pieces: TextSegment[] = [];
  let from = 0;
  for (const found of text.matchAll(SYMBOL)) {
    if (found.index > from) pieces.push({kind: "text", text: text.slice(from, found.index)});
    pieces.push({kind: "symbol", text: nameOf(found[0])});
    from = found.index + 1;
  }
  if (from < text.length) pieces.push({kind: "text", text: text.slice(from)});
  return pieces;
}

function nameOf(char: string): string {
  return SYMBOL_NAMES[char] ?? `U+${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

/** One pass from the end: a text is somebody else's, and may be nothing but signs that come into question. */
function trimTrailing(address: string): string {
  // A bracket that was not opened inside belongs to the sentence around.
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
