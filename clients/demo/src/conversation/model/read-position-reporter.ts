/**
 * Reports my position in a room to the service: `read` while the newest message is in sight and the page is watched,
 * `delivered` otherwise. At most once per second, and only if the position advanced.
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
    /** Nothing is reported before it resolves, because the earlier position is requested first. */
    private readonly ready: Promise<unknown>,
  ) {}

  /** Everything up to `to` is on the page; `isRead`: and in sight. */
  onReached(to: number, isRead: boolean): void {
    const what = isRead ? "read" : "delivered";
    if (to <= this.target[what]) return;
    this.target = {read: isRead ? to : this.target.read, delivered: to};
    this.timer ??= setTimeout(() => this.report(), this.reported.delivered ? INTERVAL_MS : 0);
  }

  stop(): void {
    clearTimeout(this.timer);
    // Also report a position of the last second when the room is closed.
    if (this.timer !== undefined) this.report();
    this.timer = undefined;
  }

  private report(): void {
    this.timer = undefined;
    const {read, delivered} = this.target;
    if (read <= this.reported.read && delivered <= this.reported.delivered) return;
    this.reported = {read, delivered};
    // Fails for a user who is not a member: they have no positions.
    void this.ready.then(() => this.tidings.room(this.room).mark({read, delivered})).catch(() => undefined);
  }
}
