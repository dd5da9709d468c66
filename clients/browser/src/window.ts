/**
 * Demand that follows the consumer: how many items a stream may still send.
 *
 * The rule: granted but not yet arrived, plus arrived but not yet taken, is never more than `itemsMax`. A consumer that
 * stops therefore stops the service, all the way down to its disk. The window is refilled when three quarters of it
 * were taken (one REQUEST_N for 48 items), and not while more than `bytesMax` lie here untaken.
 */
const ITEMS_MAX = 64; // at 50 ms to the service and back this is 1,000 items/s, more than a person reads
const BYTES_MAX = 1_048_576; // the biggest items are 64 KiB: 16 untaken ones pause the refill
const REFILL_SHARE = 0.75;

export class Window {
  /** Asked for and not yet arrived: the credit the service has left. */
  granted = 0;
  /** Asked for, over all streams there were. */
  asked = 0;
  /** Arrived and not yet taken. */
  held = 0;
  heldBytes = 0;
  private readonly refillAt: number;

  constructor(private readonly itemsMax: number = ITEMS_MAX) {
    this.refillAt = Math.max(1, Math.floor(itemsMax * REFILL_SHARE));
  }

  /** The first n of a new stream; 0: no room yet, open it after something was taken. */
  open(): number {
    const room = this.room();
    this.granted = room >= this.refillAt || !this.held ? room : 0;
    this.asked += this.granted;
    return this.granted;
  }

  arrived(bytes: number): void {
    this.granted -= 1;
    this.held += 1;
    this.heldBytes += bytes;
  }

  taken(bytes: number): void {
    this.held -= 1;
    this.heldBytes -= bytes;
  }

  /** What to grant the living stream now; 0: nothing yet. */
  refill(): number {
    const room = this.room();
    if (room < this.refillAt) return 0;
    this.granted += room;
    this.asked += room;
    return room;
  }

  /** The stream is over; what it was granted is void. */
  ended(): void {
    this.granted = 0;
  }

  private room(): number {
    return this.heldBytes > BYTES_MAX ? 0 : this.itemsMax - this.granted - this.held;
  }
}
