/** Messages outside the timeline that a shown message replies to. Each is read when such a reply is shown. */
import {signal} from "@preact/signals";
import type {Room} from "@tidings/client";
import type {Message} from "./message.ts";
import {TimelineWindow} from "./timeline-window.ts";

const CACHED_MAX = 200;

export class QuotedMessages {
  private readonly messages = signal<ReadonlyMap<number, Message | "gone">>(new Map());
  private readonly loading = new Set<number>();

  constructor(private readonly room: Room) {}

  /** Undefined: not read yet; "gone": it cannot be shown. */
  get(seq: number): Message | "gone" | undefined {
    return this.messages.value.get(seq);
  }

  /** Read it, unless it was read before. */
  async load(seq: number): Promise<void> {
    if (this.loading.has(seq) || this.messages.peek().has(seq)) return;
    this.loading.add(seq);
    try {
      const {events, head} = await this.room.history({before: seq + 1, limit: 1});
      const timeline = new TimelineWindow();
      timeline.replace(events, {asOf: Number(head?.seq ?? 0)});
      this.messages.value = new Map([...this.messages.peek(), [seq, timeline.message(seq) ?? "gone"] as const].slice(-CACHED_MAX));
    } catch {
      // The reply is shown without it; it is requested again when the reply is shown again.
    } finally {
      this.loading.delete(seq);
    }
  }

  /** The message changed: read it again, if it was read before. */
  reload(seq: number): void {
    if (!this.messages.peek().has(seq)) return;
    this.messages.value = new Map([...this.messages.peek()].filter(([known]) => known !== seq));
    void this.load(seq);
  }
}
