/**
 * The route, from the fragment of the address: `#/general` is a room, `#/general/123` a message in it, anything else the
 * room list. So the back and forward buttons work, and on a phone "back" leads from a conversation to the list.
 */
import {type ReadonlySignal, signal} from "@preact/signals";

export interface Route {
  readonly room: string;
  /** A message to jump to. */
  readonly seq?: bigint;
}

const routeSignal = signal<Route | undefined>(parseHash());

/** The open room. A new object after every navigation, also to the same place. */
export const currentRoute: ReadonlySignal<Route | undefined> = routeSignal;

/** Open a room, and jump to a message if `seq` is given. */
export function openRoom(room: string, seq?: bigint): void {
  setHash(`#/${encodeURIComponent(room)}${seq ? `/${seq}` : ""}`);
}

/** Go back to the room list. */
export function openList(): void {
  setHash("#/");
}

function setHash(hash: string): void {
  // Navigation to the same place fires no hashchange.
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
