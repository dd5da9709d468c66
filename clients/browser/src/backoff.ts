/**
 * When to try again: full backoff. The delay before attempt k is drawn evenly from 0 to min(cap, base * 2^k), so clients
 * that lost the same service at the same moment come back spread over the whole interval, and not in waves.
 */
export interface BackoffPolicy {
  readonly baseMs: number;
  readonly capMs: number;
  /** A number from 0 to 1. */
  readonly draw: () => number;
}

export const DEFAULT_BACKOFF: BackoffPolicy = {baseMs: 500, capMs: 20_000, draw: Math.random};

/** The attempts since something last went well. */
export class Backoff {
  /** How many there were. */
  attempts = 0;

  constructor(private readonly policy: BackoffPolicy) {}

  /** The delay before the next attempt; backoff comes on top of `atLeastMs`, which the service asked for. */
  nextDelayMs(minMs = 0): number {
    const {baseMs, capMs, draw} = this.policy;
    return minMs + draw() * Math.min(capMs, baseMs * 2 ** Math.min(this.attempts++, 32));
  }

  reset(): void {
    this.attempts = 0;
  }
}
