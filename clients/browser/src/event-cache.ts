/**
 * The newest events of each room, kept so that a reload shows them before the network answers.
 *
 * What is kept of a room has no holes: a watch can go on behind its last event. Texts that were deleted or changed by
 * a later event are deleted and changed here too, as the service does in its log.
 */
import {create, fromBinary, toBinary} from "@bufbuild/protobuf";
import {type Cursor, CursorSchema, type Event, EventSchema} from "./gen/tidings/v1/log_pb.ts";
import type {CachedEvent, Storage} from "./storage/storage.ts";

const EVENTS_MAX = 200; // of a room: four screens of a desktop, some 40 KiB
const TRIM_EVERY = 50; // events between two trims

export class EventCache {
  private addedSinceTrim = 0;
  private isClosed = false;

  constructor(private readonly storage: Promise<Storage>) {}

  /** The room's kept events in order, and the cursor behind them; undefined: nothing is kept. */
  async load(room: string): Promise<{events: Event[]; cursor: Cursor} | undefined> {
    const kept = await (await this.storage).events(room).catch(() => []);
    const last = kept.at(-1);
    if (!last) return undefined;
    // Two tabs may have written here; only what is whole up to the end counts.
    let from = kept.length - 1;
    while (from > 0 && kept[from - 1]!.seq === kept[from]!.seq - 1 && kept[from - 1]!.epoch === last.epoch) from -= 1;
    const events = kept.slice(Math.max(from, kept.length - EVENTS_MAX)).map(({data}) => fromBinary(EventSchema, data));
    return {events, cursor: create(CursorSchema, {epoch: last.epoch, seq: BigInt(last.seq)})};
  }

  /** Keep events that follow the ones kept before. What cannot be kept is not: the log has it. */
  async add(room: string, epoch: string, events: readonly Event[]): Promise<void> {
    if (!events.length) return;
    const storage = await this.storage;
    if (this.isClosed) return;
    const newest = Number(events.at(-1)!.seq);
    try {
      await storage.putEvents(events.map((event) => toCachedEvent(room, epoch, event)));
      for (const event of events) await this.applyToTarget(storage, room, epoch, event);
      this.addedSinceTrim += events.length;
      if (this.addedSinceTrim >= TRIM_EVERY) {
        this.addedSinceTrim = 0;
        await storage.deleteEvents(room, newest - EVENTS_MAX + 1);
      }
    } catch {
      // A full disk costs the head start after a reload, and nothing else.
    }
  }

  async clear(room: string): Promise<void> {
    await (await this.storage).deleteEvents(room, Infinity).catch(() => undefined);
  }

  /** Forget all rooms, and keep nothing more. */
  async clearAndClose(): Promise<void> {
    this.isClosed = true;
    await (await this.storage).deleteAllEvents().catch(() => undefined);
  }

  private async applyToTarget(storage: Storage, room: string, epoch: string, {what, atMs}: Event): Promise<void> {
    if (what.case !== "edited" && what.case !== "deleted") return;
    // The message was edited again or deleted since, which is told by a later event.
    if (what.case === "edited" && !what.value.text) return;
    const {target} = what.value;
    const changedEvents: Event[] = [];
    for (const {data} of await storage.events(room)) {
      const event = fromBinary(EventSchema, data);
      const content = event.what;
      if (content.case === "posted" && event.seq === target) {
        if (what.case === "edited") Object.assign(content.value, {text: what.value.text, editedAtMs: atMs});
        else Object.assign(content.value, {text: "", deleted: true, reactions: []});
        changedEvents.push(event);
      } else if (what.case === "deleted" && content.case === "edited" && content.value.target === target) {
        content.value.text = "";
        changedEvents.push(event);
      }
    }
    if (changedEvents.length && !this.isClosed) await storage.putEvents(changedEvents.map((event) => toCachedEvent(room, epoch, event)));
  }
}

function toCachedEvent(room: string, epoch: string, event: Event): CachedEvent {
  return {room, epoch, seq: Number(event.seq), data: toBinary(EventSchema, event) as Uint8Array<ArrayBuffer>};
}
