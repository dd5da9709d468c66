/**
 * Demand that follows the consumer: how many items a stream may still send.
 *
 * The rule: granted but not yet arrived, plus arrived but not yet taken, is never more than `itemsMax`. A consumer that
 * stops therefore stops the service, all the way down to its disk. The window is refilled when three quarters of it
 * were taken (one REQUEST_N for 48 items), and not while more than `bytesMax` lie here untaken.
 */
const ITEMS_MAX = 64; // at 50 ms to the service and back this is 1,000 items/s, more than a person reads
const BYTES_MAX = 1_048_576; // the biggest items are 64 KiB: 16 untaken ones pause the refill
const REFILL_FRACTION = 0.75;

export class FlowWindow {
  /** Asked for and not yet arrived: the credit the service has left. */
  credit = 0;
  /** Asked for, over all streams there were. */
  requested = 0;
  /** Arrived and not yet taken. */
  buffered = 0;
  bufferedBytes = 0;
  private readonly refillMin: number;

  constructor(private readonly itemsMax: number = ITEMS_MAX) {
    this.refillMin = Math.max(1, Math.floor(itemsMax * REFILL_FRACTION));
  }

  /** The first n of a new stream; 0: no room yet, open it after something was taken. */
  openStream(): number {
    const room = this.available();
    this.credit = room >= this.refillMin || !this.buffered ? room : 0;
    this.requested += this.credit;
    return this.credit;
  }

  onReceived(bytes: number): void {
    this.credit -= 1;
    this.buffered += 1;
    this.bufferedBytes += bytes;
  }

  onConsumed(bytes: number): void {
    this.buffered -= 1;
    this.bufferedBytes -= bytes;
  }

  /** What to grant the living stream now; 0: nothing yet. */
  refill(): number {
    const room = this.available();
    if (room < this.refillMin) return 0;
    this.credit += room;
    this.requested += room;
    return room;
  }

  /** The stream is over; what it was granted is void. */
  onStreamEnded(): void {
    this.credit = 0;
  }

  private available(): number {
    return this.bufferedBytes > BYTES_MAX ? 0 : this.itemsMax - this.credit - this.buffered;
  }
}
