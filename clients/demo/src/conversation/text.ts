/**
 * A text that somebody typed, as pieces that can be shown as they are: nothing here becomes markup.
 *
 * Links are http and https only, and end where a character begins that could make an address look like another one.
 * Characters that cannot be seen but do something are shown as what they are: control characters, and the two that turn
 * the letters behind them around ("exe.png" that is a "gnp.exe").
 *
 * Between backticks is code: one in a line, or three around lines. There is no other markup.
 */
export type Piece =
  | {readonly kind: "text"; readonly text: string}
  | {readonly kind: "link"; readonly text: string; readonly href: string}
  /** A character that is shown by its name. */
  | {readonly kind: "symbol"; readonly text: string}
  /** Texts and symbols without the backticks around them. `block`: lines of their own. */
  | {readonly kind: "code"; readonly block: boolean; readonly pieces: readonly Piece[]};

const LINK = /https?:\/\/[^\s<>"'`\p{Cc}\p{Cf}]+/giu;
const DECEPTIVE = /[\u0000-\u0008\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/u; // an address that goes on like this is none
const TRAILING = ".,;:!?…。，、；：！？”’»）】」』"; // belongs to the sentence, not to the address
// All controls but tab and newline, and the overrides.
const SYMBOL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202d\u202e]/g;
const NAMES: Readonly<Record<string, string>> = {"\u202d": "LRO", "\u202e": "RLO"};

// What opens closes as well, and whatever else is in a code has no backtick of its kind: so each character is looked at a
// few times at most, whatever somebody sends. The language behind the opening three is not shown.
const BLOCK = /(?<!`)```(?!`)(?:[\w+#-]{0,20}\n)?([^]+?)/.source;
const INLINE = /(?<!`)`([^`\n]+)`(?!`)/.source;
const CODE = new RegExp(`${BLOCK}${/\n?(?<!`)```(?!`)\n?/.source}|${INLINE}`, "g");
const CODE_OF_CUT = new RegExp(`${BLOCK}${/(?:\n?(?<!`)```(?!`)\n?|$)/.source}|${INLINE}`, "g");

/** `cut`: it is the beginning of a longer text, so that lines of code may go on to its end. */
export function piecesOf(text: string, cut = false): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const found of text.matchAll(cut ? CODE_OF_CUT : CODE)) {
    linked(pieces, text.slice(from, found.index));
    const inside: Piece[] = [];
    plain(inside, found[1] ?? found[2]!);
    pieces.push({kind: "code", block: found[1] !== undefined, pieces: inside});
    from = found.index + found[0].length;
  }
  linked(pieces, text.slice(from));
  return pieces;
}

function linked(pieces: Piece[], text: string): void {
  let from = 0;
  for (const found of text.matchAll(LINK)) {
    const written = trimmed(found[0]);
    const href = addressOf(written);
    if (!href || DECEPTIVE.test(text[found.index + found[0].length] ?? "")) continue;
    plain(pieces, text.slice(from, found.index));
    pieces.push({kind: "link", text: written, href});
    from = found.index + written.length;
  }
  plain(pieces, text.slice(from));
}

/** The same on one line, without what cannot be shown: for quotes and labels. */
export function oneLine(text: string, charsMax: number): string {
  const line = text.slice(0, 4 * charsMax).replace(/\s+/g, " ").replace(SYMBOL, nameOf).trim();
  return line.length > charsMax ? `${whole(line, charsMax)}…` : line;
}

/** A long text's beginning. `more`: how many characters are left. */
export function beginningOf(text: string, charsMax: number, linesMax: number): {text: string; more: number} {
  const end = Math.min(endOfLine(text, 0, linesMax), charsMax);
  // A few lines more are no reason for a button.
  if (text.length <= 1.2 * charsMax && endOfLine(text, end, linesMax / 5) === text.length) return {text, more: 0};
  const shown = whole(text, end).replace(/\n$/, "");
  return {text: shown, more: text.length - shown.length};
}

/** Where the `lines`-th line from `from` on ends, with its newline. */
function endOfLine(text: string, from: number, lines: number): number {
  let end = from;
  for (let line = 0; line < lines; line += 1) {
    const next = text.indexOf("\n", end);
    if (next < 0) return text.length;
    end = next + 1;
  }
  return end;
}

/** How many bytes of UTF-8 the service counts. */
export function bytesOf(text: string): number {
  return new TextEncoder().encode(text.normalize("NFC")).length;
}

/** As the service takes it: no control characters but tab and newline, no halves of characters, no empty ends. */
export function sendable(text: string): string {
  const lines = text.replace(/\r\n?|[\u2028\u2029]/g, "\n");
  return wellFormed(lines.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "")).replace(/^\n+/, "").trimEnd();
}

function plain(pieces: Piece[], text: string): void {
  let from = 0;
  for (const found of text.matchAll(SYMBOL)) {
    if (found.index > from) pieces.push({kind: "text", text: text.slice(from, found.index)});
    pieces.push({kind: "symbol", text: nameOf(found[0])});
    from = found.index + 1;
  }
  if (from < text.length) pieces.push({kind: "text", text: text.slice(from)});
}

function nameOf(char: string): string {
  return NAMES[char] ?? `U+${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

/** One pass from the end: a text is somebody else's, and may be nothing but signs that come into question. */
function trimmed(address: string): string {
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

function addressOf(text: string): string | undefined {
  try {
    const {protocol, href, host} = new URL(text);
    return (protocol === "http:" || protocol === "https:") && host ? href : undefined;
  } catch {
    return undefined;
  }
}

/** Cut so that no character of two halves is cut in the middle. */
function whole(text: string, charsMax: number): string {
  const last = text.charCodeAt(charsMax - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? charsMax - 1 : charsMax);
}

function wellFormed(text: string): string {
  return text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}
