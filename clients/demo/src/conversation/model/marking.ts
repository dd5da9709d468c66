/**
 * Telling the service how far I have come: `read` while the newest message is in sight of somebody who looks at the page,
 * `delivered` otherwise. Once a second at most, and only when it is further than before.
 */
import type {Tidings} from "@tidings/client";

const EVERY_MS = 1_000;

export class Marking {
  private told = {read: 0, delivered: 0};
  private wanted = {read: 0, delivered: 0};
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly tidings: Tidings,
    private readonly room: string,
    /** Nothing is told before: where I was when I came is asked for first. */
    private readonly ready: Promise<unknown>,
  ) {}

  /** Everything up to `to` is on the page; `seen`: and in sight. */
  reached(to: number, seen: boolean): void {
    const what = seen ? "read" : "delivered";
    if (to <= this.wanted[what]) return;
    this.wanted = {read: seen ? to : this.wanted.read, delivered: to};
    this.timer ??= setTimeout(() => this.tell(), this.told.delivered ? EVERY_MS : 0);
  }

  stop(): void {
    clearTimeout(this.timer);
    // Read is read, also when the room is left within the same second.
    if (this.timer !== undefined) this.tell();
    this.timer = undefined;
  }

  private tell(): void {
    this.timer = undefined;
    const {read, delivered} = this.wanted;
    if (read <= this.told.read && delivered <= this.told.delivered) return;
    this.told = {read, delivered};
    // Who is no member has no marks: that is no trouble.
    void this.ready.then(() => this.tidings.room(this.room).mark({read, delivered})).catch(() => undefined);
  }
}
