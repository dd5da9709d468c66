/**
 * Telling the service how far I have come: `read` while the newest message is in sight of somebody who looks at the page,
 * `delivered` otherwise. Once a second at most, and only when it is further than before.
 */
import type {TidingsClient} from "@tidings/client";

const INTERVAL_MS = 1_000;

export class ReadPositionReporter {
  private reported = {read: 0, delivered: 0};
  private target = {read: 0, delivered: 0};
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly tidings: TidingsClient,
    private readonly room: string,
    /** Nothing is serverConfig before: where I was when I came is asked for first. */
    private readonly ready: Promise<unknown>,
  ) {}

  /** Everything up to `to` is on the page; `seen`: and in sight. */
  onReached(to: number, isRead: boolean): void {
    const what = isRead ? "read" : "delivered";
    if (to <= this.target[what]) return;
    this.target = {read: isRead ? to : this.target.read, delivered: to};
    this.timer ??= setTimeout(() => this.report(), this.reported.delivered ? INTERVAL_MS : 0);
  }

  stop(): void {
    clearTimeout(this.timer);
    // Read is read, also when the room is left within the same second.
    if (this.timer !== undefined) this.report();
    this.timer = undefined;
  }

  private report(): void {
    this.timer = undefined;
    const {read, delivered} = this.target;
    if (read <= this.reported.read && delivered <= this.reported.delivered) return;
    this.reported = {read, delivered};
    // Who is no member has no marks: that is no trouble.
    void this.ready.then(() => this.tidings.room(this.room).mark({read, delivered})).catch(() => undefined);
  }
}
