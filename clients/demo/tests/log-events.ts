/** Events as a room's log holds them, built without protobuf, for tests of units that only read their fields. */
import type {Event} from "@tidings/client";

export type EventBody = {case: string; value: object};

export function event(seq: number, what: EventBody, {actor = "ada", atMs = seq * 1000, clientId = ""} = {}): Event {
  return {seq: BigInt(seq), atMs: BigInt(atMs), actor, clientId, room: "r", what} as unknown as Event;
}

export function posted(seq: number, text = `m${seq}`, more = {}, of = {}): Event {
  return event(seq, {case: "posted", value: {text, replyTo: 0n, editedAtMs: 0n, deleted: false, reactions: [], ...more}}, of);
}

/** The messages `m<from>` to `m<to>`. */
export function postedRange(from: number, to: number): Event[] {
  return Array.from({length: to - from + 1}, (_, at) => posted(from + at));
}
