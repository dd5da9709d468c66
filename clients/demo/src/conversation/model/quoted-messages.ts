/** Messages that are answered and are elsewhere in the log: read one by one when an answer to them is shown. */
import {signal} from "@preact/signals";
import type {Room} from "@tidings/client";
import type {Message} from "./message.ts";
import {TimelineWindow} from "./timeline-window.ts";

const CACHED_MAX = 200;

export class QuotedMessages {
  private readonly messages = signal<ReadonlyMap<number, Message | "gone">>(new Map());
  private readonly loading = new Set<number>();

  constructor(private readonly room: Room) {}

  /** As far as it is known; undefined: it was not read yet. */
  get(seq: number): Message | "gone" | undefined {
    return this.messages.value.get(seq);
  }

  /** Read it, if that was not done yet. */
  async load(seq: number): Promise<void> {
    if (this.loading.has(seq) || this.messages.peek().has(seq)) return;
    this.loading.add(seq);
    try {
      const {events, head} = await this.room.history({before: seq + 1, limit: 1});
      const timeline = new TimelineWindow();
      timeline.replace(events, {asOf: Number(head?.seq ?? 0)});
      this.messages.value = new Map([...this.messages.peek(), [seq, timeline.message(seq) ?? "gone"] as const].slice(-CACHED_MAX));
    } catch {
      // Without it the answer is still an answer; it is asked for when the answer is shown again.
    } finally {
      this.loading.delete(seq);
    }
  }

  /** It was changed since: read it anew, if it was read. */
  reload(seq: number): void {
    if (!this.messages.peek().has(seq)) return;
    this.messages.value = new Map([...this.messages.peek()].filter(([known]) => known !== seq));
    void this.load(seq);
  }
}
