/**
 * Names as people write them into one field: a comma or a semicolon ends each. A blank ends none, as a name that somebody
 * goes by may have one ("Ada Lovelace"); no name that one signs in with does, so it is kept whole and said to be wrong.
 */
const BETWEEN = /[,;，、；]/;

/** The names that were ended, and what is still being written. */
export interface People {
  readonly names: readonly string[];
  readonly rest: string;
}

export const NO_PEOPLE: People = {names: [], rest: ""};

/** The field after its text became `text`: what ends in a comma is a name now. */
export function written({names}: People, text: string): People {
  const parts = text.split(BETWEEN);
  const rest = parts.pop() ?? "";
  return {names: together(names, parts), rest};
}

/** Nothing is being written any more: what stands in the field is a name as well. */
export function finished(people: People): People {
  return {names: written(people, `${people.rest},`).names, rest: ""};
}

export function hasSpace(name: string): boolean {
  return /\s/.test(name);
}

/** What one may be called instead. */
export function withoutSpace(name: string): string {
  return name.replace(/\s+/g, ".");
}

function together(names: readonly string[], more: readonly string[]): string[] {
  return [...new Set([...names, ...more.map((name) => name.trim()).filter(Boolean)])];
}
