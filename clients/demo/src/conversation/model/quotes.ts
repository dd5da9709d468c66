/** Messages that are answered and are elsewhere in the log: read one by one when an answer to them is shown. */
import {signal} from "@preact/signals";
import type {Room} from "@tidings/client";
import type {Message} from "./message.ts";
import {Stretch} from "./stretch.ts";

const KEPT_MAX = 200;

export class Quotes {
  private readonly all = signal<ReadonlyMap<number, Message | "gone">>(new Map());
  private readonly asking = new Set<number>();

  constructor(private readonly room: Room) {}

  /** As far as it is known; undefined: it was not read yet. */
  get(seq: number): Message | "gone" | undefined {
    return this.all.value.get(seq);
  }

  /** Read it, if that was not done yet. */
  async read(seq: number): Promise<void> {
    if (this.asking.has(seq) || this.all.peek().has(seq)) return;
    this.asking.add(seq);
    try {
      const {events, head} = await this.room.history({before: seq + 1, limit: 1});
      const stretch = new Stretch();
      stretch.replace(events, {asOf: Number(head?.seq ?? 0)});
      this.all.value = new Map([...this.all.peek(), [seq, stretch.message(seq) ?? "gone"] as const].slice(-KEPT_MAX));
    } catch {
      // Without it the answer is still an answer; it is asked for when the answer is shown again.
    } finally {
      this.asking.delete(seq);
    }
  }

  /** It was changed since: read it anew, if it was read. */
  changed(seq: number): void {
    if (!this.all.peek().has(seq)) return;
    this.all.value = new Map([...this.all.peek()].filter(([known]) => known !== seq));
    void this.read(seq);
  }
}
