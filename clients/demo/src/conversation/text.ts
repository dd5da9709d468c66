/** Texts on their way to the page and to the service: in one line, folded, as it may be sent. */
import {plainText} from "./markup.ts";

/** The words of a text on one line, without its markup and what cannot be shown: for quotes, previews and labels. */
export function oneLine(text: string, charsMax: number): string {
  const line = plainText(text.slice(0, 4 * charsMax), text.length > 4 * charsMax)
    .replace(/\s+/g, " ")
    .trim();
  return line.length > charsMax ? `${cutAtCodePoint(line, charsMax)}…` : line;
}

/** A long text's beginning. `more`: how many characters are left. */
export function truncate(text: string, charsMax: number, linesMax: number): {text: string; more: number} {
  const end = Math.min(endOfLine(text, 0, linesMax), charsMax);
  // A few lines more are no reason for a button.
  if (text.length <= 1.2 * charsMax && endOfLine(text, end, linesMax / 5) === text.length) return {text, more: 0};
  const shown = cutAtCodePoint(text, end).replace(/\n$/, "");
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
export function normalizeForSending(text: string): string {
  const lines = text.replace(/\r\n?|[\u2028\u2029]/g, "\n");
  return wellFormed(lines.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "")).replace(/^\n+/, "").trimEnd();
}

/** Cut so that no character of two halves is cut in the middle. */
function cutAtCodePoint(text: string, charsMax: number): string {
  const last = text.charCodeAt(charsMax - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? charsMax - 1 : charsMax);
}

function wellFormed(text: string): string {
  return text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}
