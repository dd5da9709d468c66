/** The text with a capital first letter, unless it begins with the name of a field or a value. */
export function sentence(text: string): string {
  return text.replace(/^[a-z](?=[a-z]*[ ,:])/, (first) => first.toUpperCase());
}
