/** The part of a text around the words of a search. */

export interface ExcerptPart {
  readonly text: string;
  readonly isMatch: boolean;
}

/** The terms of a query, as the service parses it: words, and "words in quotes" as one term. */
export function searchTerms(query: string): string[] {
  return [...query.matchAll(/"([^"]+)"?|[^\s"]+/g)].map(([whole, quoted]) => (quoted ?? whole).trim()).filter(Boolean);
}

/** A text as one line, without control and bidi characters that could change the text around it. */
export function sanitizeLine(text: string): string {
  return text.replace(/\s+/g, " ").replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, "");
}

/** `text` from `around` characters before the first match, sanitized, in parts. */
export function excerpt(text: string, terms: readonly string[], around: number): ExcerptPart[] {
  const line = sanitizeLine(text);
  if (!terms.length) return [{text: line.slice(0, around * 3), isMatch: false}];
  const pattern = new RegExp(terms.map(escapeRegExp).join("|"), "giu");
  const first = line.search(pattern);
  const from = wordStart(line, Math.max(0, first - around), Math.max(0, first));
  const shown = (from ? "…" : "") + line.slice(from, from + around * 3) + (from + around * 3 < line.length ? "…" : "");
  const parts: ExcerptPart[] = [];
  let at = 0;
  for (const match of shown.matchAll(pattern)) {
    if (match.index > at) parts.push({text: shown.slice(at, match.index), isMatch: false});
    parts.push({text: match[0], isMatch: true});
    at = match.index + match[0].length;
  }
  if (at < shown.length) parts.push({text: shown.slice(at), isMatch: false});
  return parts;
}

/** The start of the next word from here on, at most `last`. A text without spaces starts where it is cut. */
function wordStart(line: string, from: number, last: number): number {
  if (from === 0 || line[from - 1] === " ") return from;
  const blank = line.indexOf(" ", from);
  if (blank >= 0 && blank < last) return blank + 1;
  // Do not split a surrogate pair.
  const code = line.charCodeAt(from);
  return code >= 0xdc00 && code < 0xe000 ? from + 1 : from;
}

function escapeRegExp(word: string): string {
  return word.replace(/[\\^$.*+?()[\]{}|/]/g, (char) => `\\${char}`);
}
