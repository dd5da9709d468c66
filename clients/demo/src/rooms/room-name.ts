const NAME_BYTES_MAX = 64;

/**
 * An open room's address made of what people call it, "Trip to Lisbon" → "trip-to-lisbon", so that two with one name do not
 * come to be; empty where that is no address: one is made up then. Groups may be called alike, nobody sees the others'.
 */
export function roomNameFrom(title: string): string {
  const name = title
    .normalize("NFC")
    .toLowerCase()
    // A dot above on a letter that has one, as "İ" becomes "i̇": it is not seen, and the service does not take it.
    .replace(/(\p{Soft_Dotted}\p{M}*?)\u0307+/gu, "$1")
    .replace(/[^\p{L}\p{M}\p{Nd}._@-]+/gu, "-")
    .replace(/^-+|-+$/g, "");
  return new TextEncoder().encode(name).length <= NAME_BYTES_MAX ? name : "";
}
