/**
 * When to try again: full jitter. The delay before attempt k is drawn evenly from 0 to min(cap, base * 2^k), so clients
 * that lost the same service at the same moment come back spread over the whole interval, and not in waves.
 */
export interface Jitter {
  readonly baseMs: number;
  readonly capMs: number;
  /** A number from 0 to 1. */
  readonly draw: () => number;
}

export const JITTER: Jitter = {baseMs: 500, capMs: 20_000, draw: Math.random};

/** The attempts since something last went well. */
export class Attempts {
  /** How many there were. */
  count = 0;

  constructor(private readonly jitter: Jitter) {}

  /** The delay before the next attempt; jitter comes on top of `atLeastMs`, which the service asked for. */
  nextMs(atLeastMs = 0): number {
    const {baseMs, capMs, draw} = this.jitter;
    return atLeastMs + draw() * Math.min(capMs, baseMs * 2 ** Math.min(this.count++, 32));
  }

  reset(): void {
    this.count = 0;
  }
}
