/**
 * The message that the room list shows: the newest one that is not deleted. The service sends the newest one even if it is
 * deleted; then the previous one is read from the room's log when the list shows the room.
 */
import {effect, signal} from "@preact/signals";
import {session} from "../session/session.ts";
import {type LastMessage, toLastMessage, type RoomView} from "./rooms.ts";

const LOOK_BACK_EVENTS = 20; // with more deleted messages in a row the preview says "deleted"
const CACHED_MAX = 500;

/** By room and seq of the deleted message; undefined: all messages that far back are deleted. */
const earlierMessages = signal<ReadonlyMap<string, LastMessage | undefined>>(new Map());
const requested = new Set<string>();
let lastRequest: Promise<unknown> = Promise.resolve();

effect(() => {
  // Another account may not read the same rooms.
  void session.me.value;
  requested.clear();
  earlierMessages.value = new Map();
});

/** The newest message that is not deleted, if known; otherwise the newest one. */
export function previewOf({name, last}: RoomView): LastMessage | undefined {
  if (!last?.deleted) return last;
  const key = `${last.seq} ${name}`;
  const found = earlierMessages.value.get(key);
  if (!requested.has(key)) {
    requested.add(key);
    // One request at a time: a list may start with many such rooms.
    lastRequest = lastRequest.then(() => fetchPreview(key, name, last.seq));
  }
  return found ?? last;
}

async function fetchPreview(key: string, room: string, before: bigint): Promise<void> {
  const client = session.tidings.peek();
  if (!client) return;
  try {
    const {events} = await client.room(room).history({before: Number(before), limit: LOOK_BACK_EVENTS});
    if (session.tidings.peek() !== client) return;
    const found = events.map(toLastMessage).findLast((message) => message && !message.deleted);
    earlierMessages.value = new Map([...earlierMessages.peek(), [key, found] as const].slice(-CACHED_MAX));
  } catch {
    requested.delete(key); // requested again when the list changes
  }
}
