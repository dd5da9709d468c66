/** The text as a sentence of its own: with a capital, unless it begins with the name of a field or a value. */
export function sentence(text: string): string {
  return text.replace(/^[a-z](?=[a-z]*[ ,:])/, (first) => first.toUpperCase());
}
