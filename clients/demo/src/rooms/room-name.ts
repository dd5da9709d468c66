const NAME_BYTES_MAX = 64;

/**
 * The name of an open room, made from its title: "Trip to Lisbon" → "trip-to-lisbon". So two open rooms cannot have the same
 * title. Empty if the title gives no valid name: then the service generates one. Groups may share a title, because a user
 * sees only their own.
 */
export function roomNameFrom(title: string): string {
  const name = title
    .normalize("NFC")
    .toLowerCase()
    // A combining dot on a letter that has a dot ("İ" becomes "i̇") is invisible, and the service rejects it.
    .replace(/(\p{Soft_Dotted}\p{M}*?)\u0307+/gu, "$1")
    .replace(/[^\p{L}\p{M}\p{Nd}._@-]+/gu, "-")
    .replace(/^-+|-+$/g, "");
  return new TextEncoder().encode(name).length <= NAME_BYTES_MAX ? name : "";
}
