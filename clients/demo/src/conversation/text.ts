/** Texts as the page shows and sends them: on one line, truncated, normalized. */
import {plainText} from "./markup.ts";

/** A text on one line without markup, for quotes, previews and labels. */
export function oneLine(text: string, charsMax: number): string {
  const line = plainText(text.slice(0, 4 * charsMax), text.length > 4 * charsMax)
    .replace(/\s+/g, " ")
    .trim();
  return line.length > charsMax ? `${cutAtCodePoint(line, charsMax)}…` : line;
}

/** The start of a long text. `more`: the number of characters that were cut. */
export function truncate(text: string, charsMax: number, linesMax: number): {text: string; more: number} {
  const end = Math.min(endOfLine(text, 0, linesMax), charsMax);
  // A few more lines do not need a "show more" button.
  if (text.length <= 1.2 * charsMax && endOfLine(text, end, linesMax / 5) === text.length) return {text, more: 0};
  const shown = cutAtCodePoint(text, end).replace(/\n$/, "");
  return {text: shown, more: text.length - shown.length};
}

/** The end of the `lines`-th line from `from` on, including its newline. */
function endOfLine(text: string, from: number, lines: number): number {
  let end = from;
  for (let line = 0; line < lines; line += 1) {
    const next = text.indexOf("\n", end);
    if (next < 0) return text.length;
    end = next + 1;
  }
  return end;
}

/** The number of UTF-8 bytes that the service counts. */
export function bytesOf(text: string): number {
  return new TextEncoder().encode(text.normalize("NFC")).length;
}

/** A text that the service accepts: no control characters except tab and newline, no lone surrogates, no leading or trailing blank lines. */
export function normalizeForSending(text: string): string {
  const lines = text.replace(/\r\n?|[\u2028\u2029]/g, "\n");
  return wellFormed(lines.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "")).replace(/^\n+/, "").trimEnd();
}

/** The first `charsMax` UTF-16 units, without splitting a surrogate pair. */
function cutAtCodePoint(text: string, charsMax: number): string {
  const last = text.charCodeAt(charsMax - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? charsMax - 1 : charsMax);
}

function wellFormed(text: string): string {
  return text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}
