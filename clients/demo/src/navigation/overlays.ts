/** The open dialog and the open side panel. */
import {effect, signal} from "@preact/signals";
import {currentRoute} from "./route.ts";

/** One dialog is open at a time. `search` may be limited to a room. */
export type DialogState =
  | {readonly what: "new" | "settings" | "help" | "about" | "discover" | "renew"}
  | {readonly what: "search"; readonly room?: string}
  | {readonly what: "leave"; readonly room: string};

export const activeDialog = signal<DialogState | undefined>(undefined);

/** The panel beside the conversation. */
export type PanelName = "members" | "inspector";
const STORAGE_KEY = "tidings.panel";
// On a narrow screen the panel covers the conversation, so it is not restored after a reload.
const wideScreen = matchMedia("(min-width: 70.01rem)");
const storedPanel = wideScreen.matches ? localStorage.getItem(STORAGE_KEY) : null;

export const activePanel = signal<PanelName | undefined>(storedPanel === "inspector" || storedPanel === "members" ? storedPanel : undefined);

/** Open this panel, or close it if it is open. */
export function togglePanel(which: PanelName): void {
  activePanel.value = activePanel.peek() === which ? undefined : which;
}

effect(() => {
  const now = activePanel.value;
  if (!wideScreen.matches) return;
  if (now) localStorage.setItem(STORAGE_KEY, now);
  else localStorage.removeItem(STORAGE_KEY);
});

// Opening a room closes the panel that would cover it.
effect(() => {
  if (currentRoute.value && !wideScreen.matches && activePanel.peek() === "members") activePanel.value = undefined;
});
