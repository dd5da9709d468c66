/** Where the next stream of a watch goes on, and what of it is new. */
import {create} from "@bufbuild/protobuf";
import {type Cursor, CursorSchema} from "./gen/tidings/v1/log_pb.ts";
import type {WatchItem} from "./gen/tidings/v1/chat_pb.ts";

/** Where to begin: behind a cursor, behind a seq (0: from the beginning), or undefined: what happens from now on. */
export type After = Cursor | number | bigint | undefined;

export interface ResumePoint<Item> {
  /** The position behind everything accepted so far. */
  readonly position: Cursor | undefined;
  /** A new stream begins. */
  onStreamOpened(): void;
  /** Take note of an item; false: it was here before. */
  accept(item: Item): boolean;
}

export function cursorFrom(after: After): Cursor | undefined {
  return typeof after === "number" || typeof after === "bigint" ? create(CursorSchema, {seq: BigInt(after)}) : after;
}

/** A room's log. Each event has a number and comes once: what is not beyond the position was here before. */
export class LogResumePoint implements ResumePoint<WatchItem> {
  constructor(public position: Cursor | undefined) {}

  onStreamOpened(): void {}

  accept({cursor, item}: WatchItem): boolean {
    const {position} = this;
    const epoch = cursor?.epoch ?? "";
    let seq = item.case === "event" ? item.value.seq : (cursor?.seq ?? 0n);
    if (position && (!position.epoch || position.epoch === epoch)) {
      if (item.case === "event" && seq <= position.seq) return false;
      if (seq < position.seq) seq = position.seq;
    }
    this.position = create(CursorSchema, {epoch, seq});
    return true;
  }
}

/**
 * Latest values: presence, the list of rooms. A repeated value does no harm, so all are new. A cursor counts only once
 * the snapshot is complete: what breaks off before is asked for as a whole again.
 */
export class SnapshotResumePoint<Item extends {cursor?: Cursor; item: {case: string | undefined}}> implements ResumePoint<Item> {
  private isComplete = false;

  constructor(public position: Cursor | undefined) {}

  onStreamOpened(): void {
    this.isComplete = false;
  }

  accept({cursor, item}: Item): boolean {
    this.isComplete ||= item.case === "live";
    if (this.isComplete && cursor) this.position = cursor;
    return true;
  }
}
