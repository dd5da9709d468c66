/** The signs on this part of the page, drawn with lines of the text's colour. */
const PATHS = {
  smile: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12M5.7 9.3c.5.9 1.3 1.4 2.3 1.4s1.800-.5 2.300-1.400M6 6.500v.100M10 6.500v.100",
  reply: "M6.500 3.500 2.500 7.500l4 4M3 7.500h5.500a5 5 0 0 1 5 5v.500",
  pencil: "m2.500 13.500.700-3L10.700 3a1.600 1.600 0 0 1 2.300 2.300L5.500 12.800z",
  more: "M3.500 8h.010M8 8h.010M12.500 8h.010",
  down: "M8 3v10M4 9l4 4 4-4",
  send: "M2.500 8h11M9 3.500 13.500 8 9 12.500",
  check: "m3 8.500 3.300 3.300L13 4.500",
  close: "m4 4 8 8M12 4l-8 8",
} as const;

export function Glyph({name, size = 18}: {name: keyof typeof PATHS; size?: number}) {
  return (
    <svg viewBox="0 0 16 16" width={size} height={size} fill="none" stroke="currentColor" stroke-width={name === "more" ? 2 : 1.4} stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
