/**
 * Where on the page one is, as the address tells it: `#/general` is a room, `#/general/123` a message in it, anything else
 * the list. The browser's own back and forward work, and on a phone "back" leads from a conversation to the list.
 */
import {type ReadonlySignal, signal} from "@preact/signals";

export interface Chosen {
  readonly room: string;
  /** A message to jump to. */
  readonly seq?: bigint;
}

const current = signal<Chosen | undefined>(read());

/** The room that is open. A new object each time somebody goes somewhere, even to where they are. */
export const chosen: ReadonlySignal<Chosen | undefined> = current;

/** Open a room, at a message if one is named. */
export function open(room: string, seq?: bigint): void {
  go(`#/${encodeURIComponent(room)}${seq ? `/${seq}` : ""}`);
}

/** Back to the list. */
export function home(): void {
  go("#/");
}

function go(hash: string): void {
  // To where one is already: there is no hashchange then.
  if (location.hash === hash) current.value = read();
  else location.hash = hash;
}

addEventListener("hashchange", () => (current.value = read()));

function read(): Chosen | undefined {
  const [, room = "", seq = ""] = location.hash.split("/");
  try {
    const name = decodeURIComponent(room);
    if (!name) return undefined;
    return /^[1-9]\d{0,18}$/.test(seq) ? {room: name, seq: BigInt(seq)} : {room: name};
  } catch {
    return undefined;
  }
}
