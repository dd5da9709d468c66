/** What is open over and beside the conversation. */
import {effect, signal} from "@preact/signals";

/** Dialogs: one at a time. `search` may be about one room. */
export type Opened =
  | {readonly what: "new" | "settings" | "help" | "about" | "discover"}
  | {readonly what: "search"; readonly room?: string}
  | {readonly what: "leave"; readonly room: string};

export const opened = signal<Opened | undefined>(undefined);

/** The panel beside the conversation. */
export type Panel = "members" | "wire";
const KEPT = "tidings.panel";
const kept = localStorage.getItem(KEPT);

export const panel = signal<Panel | undefined>(kept === "wire" || kept === "members" ? kept : undefined);

/** Open this panel, or close it if it is open. */
export function turn(which: Panel): void {
  panel.value = panel.peek() === which ? undefined : which;
}

effect(() => {
  if (panel.value) localStorage.setItem(KEPT, panel.value);
  else localStorage.removeItem(KEPT);
});
