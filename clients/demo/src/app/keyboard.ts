/** Keyboard shortcuts of the whole page. */
import {rooms} from "../rooms/rooms.ts";
import {currentRoute, openList, openRoom} from "../navigation/route.ts";
import {activeDialog, activePanel, togglePanel} from "../navigation/overlays.ts";

/** By `code`, because the keyboard layout, or Option on a Mac, changes `key`. */
const ALT_SHORTCUTS: Readonly<Record<string, (event: KeyboardEvent) => void>> = {
  ArrowDown: ({shiftKey}) => openNeighbor(1, shiftKey),
  ArrowUp: ({shiftKey}) => openNeighbor(-1, shiftKey),
  KeyN: () => (activeDialog.value = {what: "new"}),
  KeyM: () => togglePanel("members"),
  KeyW: () => togglePanel("inspector"),
};

export function onKey(event: KeyboardEvent): void {
  // An open dialog handles keys itself.
  if (event.defaultPrevented || event.isComposing || activeDialog.peek() || document.querySelector("dialog[open]")) return;
  const {key, code, altKey, ctrlKey, metaKey} = event;
  const command = ctrlKey || metaKey;
  if (command && !altKey && key.toLowerCase() === "k") openSearch();
  else if (command && key === "/") activeDialog.value = {what: "help"};
  else if (key === "?" && !command && !altKey && !isEditable(event.target)) activeDialog.value = {what: "help"};
  else if (altKey && !command && ALT_SHORTCUTS[code]) ALT_SHORTCUTS[code](event);
  else if (key === "Escape" && closePanel()) return event.preventDefault();
  else return;
  event.preventDefault();
}

function openSearch(): void {
  activeDialog.value = {what: "search"};
}

/** Close the side panel; returns whether one was open. */
function closePanel(): boolean {
  if (!activePanel.peek()) return false;
  activePanel.value = undefined;
  return true;
}

/** Open the next room of the list, or the next one with unread messages. */
function openNeighbor(by: 1 | -1, unreadOnly: boolean): void {
  const all = rooms.peek();
  const at = all.findIndex(({name}) => name === currentRoute.peek()?.room);
  for (let tried = 1; tried <= all.length; tried++) {
    const from = at < 0 ? (by > 0 ? -1 : 0) : at;
    const room = all[(from + by * tried + all.length * 2) % all.length];
    if (room && (!unreadOnly || room.unread > 0)) return openRoom(room.name);
  }
  if (!all.length) openList();
}

function isEditable(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}
