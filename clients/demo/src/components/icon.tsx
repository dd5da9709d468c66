/** Icons, 24 by 24 units, one path each. Hidden from screen readers: the control they are on has a label. */
const ICON_PATHS = {
  back: "M15 5l-7 7 7 7",
  close: "M6 6l12 12M18 6L6 18",
  plus: "M12 5v14M5 12h14",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4",
  gear: "M12 15.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM12 3v2.5M12 18.5V21M3 12h2.5M18.5 12H21M5.6 5.6l1.8 1.8M16.6 16.6l1.8 1.8M18.4 5.6l-1.8 1.8M7.4 16.6l-1.8 1.8",
  people: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20a6.5 6.5 0 0 1 13 0M16 4.3a3.5 3.5 0 0 1 0 6.4M18.5 14.2a6.5 6.5 0 0 1 3 5.8",
  person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20.5a7.5 7.5 0 0 1 15 0",
  hash: "M9 4L7 20M17 4l-2 16M4 9h16M4 15h16",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  inspector: "M3 12h3l3-7 5 14 3-7h4",
  bell: "M6 16V11a6 6 0 0 1 12 0v5l1.5 2h-15zM10 21h4",
  bellOff: "M6 16V11a6 6 0 0 1 9-5.2M18 11v5l1.5 2H8M10 21h4M4 4l16 16",
  leave: "M14 4H6v16h8M11 12h10M18 9l3 3-3 3",
  info: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 11v5M12 8h.01",
  keys: "M3 6h18v12H3zM7 10h.01M11 10h.01M15 10h.01M7 14h10",
  check: "M5 12.5l4.5 4.5L19 7.5",
  cloudOff: "M7 18a4.5 4.5 0 0 1-.5-9M10 6.3A6 6 0 0 1 18 11a3.5 3.5 0 0 1 1.5 6.3M4 4l16 16",
  at: "M16 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0zm0 0v1.5a2.5 2.5 0 0 0 5 0V12a9 9 0 1 0-3.5 7.1",
  retry: "M19 12a7 7 0 1 1-2-4.9M19 4v4h-4",
  smile: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18M8.5 14c.8 1.3 2 2 3.5 2s2.7-.7 3.5-2M9 9.8v.1M15 9.8v.1",
  reply: "M9.8 5.2l-6 6 6 6M4.5 11.2h8.2a7.5 7.5 0 0 1 7.5 7.5v.8",
  pencil: "M3.8 20.2l1-4.5L16 4.5a2.4 2.4 0 0 1 3.5 3.5L8.2 19.2z",
  down: "M12 4.5v15M6 13.5l6 6 6-6",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  send: "M3.8 12h16.4M13.5 5.2l6.7 6.8-6.7 6.8",
} as const;

export type IconName = keyof typeof ICON_PATHS;

export function Icon({name, size = 20}: {name: IconName; size?: number}) {
  const dots = name === "more";
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width={dots ? 3 : 1.8} stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      <path d={ICON_PATHS[name]} />
    </svg>
  );
}
