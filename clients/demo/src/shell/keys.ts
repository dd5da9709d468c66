/** Keys that work everywhere on the page. */
import {rooms} from "../model/rooms.ts";
import {chosen, home, open} from "../route.ts";
import {opened, panel, turn} from "./shown.ts";

/** By `code`, so that a layout or Option on a Mac, which writes other letters, does not matter. */
const WITH_ALT: Readonly<Record<string, (event: KeyboardEvent) => void>> = {
  ArrowDown: ({shiftKey}) => step(1, shiftKey),
  ArrowUp: ({shiftKey}) => step(-1, shiftKey),
  KeyN: () => (opened.value = {what: "new"}),
  KeyM: () => turn("members"),
  KeyW: () => turn("wire"),
};

export function onKey(event: KeyboardEvent): void {
  // A dialog has the keys to itself.
  if (event.defaultPrevented || event.isComposing || opened.peek() || document.querySelector("dialog[open]")) return;
  const {key, code, altKey, ctrlKey, metaKey} = event;
  const command = ctrlKey || metaKey;
  if (command && !altKey && key.toLowerCase() === "k") search();
  else if (command && key === "/") opened.value = {what: "help"};
  else if (key === "?" && !command && !altKey && !writing(event.target)) opened.value = {what: "help"};
  else if (altKey && !command && WITH_ALT[code]) WITH_ALT[code](event);
  else if (key === "Escape" && escape()) return event.preventDefault();
  else return;
  event.preventDefault();
}

function search(): void {
  opened.value = {what: "search"};
}

/** Close the panel, if it lies over the conversation. Whether there was something to close. */
function escape(): boolean {
  if (!panel.peek()) return false;
  panel.value = undefined;
  return true;
}

/** To the next room of the list, or the next with unread messages. */
function step(by: 1 | -1, unreadOnly: boolean): void {
  const all = rooms.peek();
  const at = all.findIndex(({name}) => name === chosen.peek()?.room);
  for (let tried = 1; tried <= all.length; tried++) {
    const from = at < 0 ? (by > 0 ? -1 : 0) : at;
    const room = all[(from + by * tried + all.length * 2) % all.length];
    if (room && (!unreadOnly || room.unread > 0)) return open(room.name);
  }
  if (!all.length) home();
}

function writing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}
