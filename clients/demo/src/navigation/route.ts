/**
 * Where on the page one is, as the address tells it: `#/general` is a room, `#/general/123` a message in it, anything else
 * the list. The browser's own back and forward work, and on a phone "back" leads from a conversation to the list.
 */
import {type ReadonlySignal, signal} from "@preact/signals";

export interface Route {
  readonly room: string;
  /** A message to jump to. */
  readonly seq?: bigint;
}

const routeSignal = signal<Route | undefined>(parseHash());

/** The room that is open. A new object each time somebody goes somewhere, even to where they are. */
export const currentRoute: ReadonlySignal<Route | undefined> = routeSignal;

/** Open a room, at a message if one is named. */
export function openRoom(room: string, seq?: bigint): void {
  setHash(`#/${encodeURIComponent(room)}${seq ? `/${seq}` : ""}`);
}

/** Back to the list. */
export function openList(): void {
  setHash("#/");
}

function setHash(hash: string): void {
  // To where one is already: there is no hashchange then.
  if (location.hash === hash) routeSignal.value = parseHash();
  else location.hash = hash;
}

addEventListener("hashchange", () => (routeSignal.value = parseHash()));

function parseHash(): Route | undefined {
  const [, room = "", seq = ""] = location.hash.split("/");
  try {
    const name = decodeURIComponent(room);
    if (!name) return undefined;
    return /^[1-9]\d{0,18}$/.test(seq) ? {room: name, seq: BigInt(seq)} : {room: name};
  } catch {
    return undefined;
  }
}
