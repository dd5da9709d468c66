/** What is open over and beside the conversation. */
import {effect, signal} from "@preact/signals";
import {chosen} from "../route.ts";

/** Dialogs: one at a time. `search` may be about one room. */
export type Opened =
  | {readonly what: "new" | "settings" | "help" | "about" | "discover" | "renew"}
  | {readonly what: "search"; readonly room?: string}
  | {readonly what: "leave"; readonly room: string};

export const opened = signal<Opened | undefined>(undefined);

/** The panel beside the conversation. */
export type Panel = "members" | "wire";
const KEPT = "tidings.panel";
// Where it lies over the conversation it is opened for a moment, and is not there again the next time.
const beside = matchMedia("(min-width: 70.01rem)");
const kept = beside.matches ? localStorage.getItem(KEPT) : null;

export const panel = signal<Panel | undefined>(kept === "wire" || kept === "members" ? kept : undefined);

/** Open this panel, or close it if it is open. */
export function turn(which: Panel): void {
  panel.value = panel.peek() === which ? undefined : which;
}

effect(() => {
  const now = panel.value;
  if (!beside.matches) return;
  if (now) localStorage.setItem(KEPT, now);
  else localStorage.removeItem(KEPT);
});

// Another room was opened: that is what one wants to see.
effect(() => {
  if (chosen.value && !beside.matches && panel.peek() === "members") panel.value = undefined;
});
