/**
 * Names as people write them into one field: a comma or a semicolon ends each. A blank ends none, as a name that somebody
 * goes by may have one ("Ada Lovelace"); no name that one signs in with does, so it is kept whole and said to be wrong.
 */
const SEPARATOR = /[,;，、；]/;

/** The names that were ended, and what is still being written. */
export interface NamesInput {
  readonly names: readonly string[];
  readonly pending: string;
}

export const NO_NAMES: NamesInput = {names: [], pending: ""};

/** The field after its text became `text`: what ends in a comma is a name now. */
export function withText({names}: NamesInput, text: string): NamesInput {
  const parts = text.split(SEPARATOR);
  const rest = parts.pop() ?? "";
  return {names: uniqueNames(names, parts), pending: rest};
}

/** Nothing is being written any more: what stands in the field is a name as well. */
export function completed(people: NamesInput): NamesInput {
  return {names: withText(people, `${people.pending},`).names, pending: ""};
}

export function hasSpace(name: string): boolean {
  return /\s/.test(name);
}

/** What one may be called instead. */
export function suggestedName(name: string): string {
  return name.replace(/\s+/g, ".");
}

function uniqueNames(names: readonly string[], more: readonly string[]): string[] {
  return [...new Set([...names, ...more.map((name) => name.trim()).filter(Boolean)])];
}
