/**
 * Several names in one field: a comma or a semicolon ends each. A space does not: people may type a full name ("Ada
 * Lovelace"). User names have no spaces, so such a name is kept whole and shown as invalid.
 */
const SEPARATOR = /[,;，、；]/;

/** The complete names, and the text of the one being typed. */
export interface NamesInput {
  readonly names: readonly string[];
  readonly pending: string;
}

export const NO_NAMES: NamesInput = {names: [], pending: ""};

/** The field after its text became `text`: every part before a separator is a complete name. */
export function withText({names}: NamesInput, text: string): NamesInput {
  const parts = text.split(SEPARATOR);
  const pending = parts.pop() ?? "";
  return {names: uniqueNames(names, parts), pending};
}

/** The field without a pending name: the text becomes a complete name as well. */
export function completed(people: NamesInput): NamesInput {
  return {names: withText(people, `${people.pending},`).names, pending: ""};
}

export function hasSpace(name: string): boolean {
  return /\s/.test(name);
}

/** A valid name close to this one. */
export function suggestedName(name: string): string {
  return name.replace(/\s+/g, ".");
}

function uniqueNames(names: readonly string[], more: readonly string[]): string[] {
  return [...new Set([...names, ...more.map((name) => name.trim()).filter(Boolean)])];
}
