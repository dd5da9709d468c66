/**
 * How fast this page reads. The conversation awaits a turn before it takes an event from its watch; what it does not take
 * it does not ask for, and demand does the rest, down to the service's disk.
 */
import {signal} from "@preact/signals";
import {pauseMeasuring} from "./latency.ts";

/** `freely`: as they come; `slowly`: so many a second; `stopped`: none. */
export type Reading = {how: "freely"} | {how: "slowly"; perSecond: number} | {how: "stopped"};

class Pace {
  /** How the page reads now. Change it with `read`. */
  readonly reading = signal<Reading>({how: "freely"});
  private changed: () => void = () => undefined;
  private change = new Promise<void>((resolve) => (this.changed = resolve));
  private nextAtMs = 0;

  /** From now on; who waits for a turn is dealt with anew. */
  read(reading: Reading): void {
    this.reading.value = reading;
    pauseMeasuring("reading slowly", reading.how !== "freely");
    this.nextAtMs = 0;
    const {changed} = this;
    this.change = new Promise((resolve) => (this.changed = resolve));
    changed();
  }

  /** Await it before each event. Nothing is returned, and so no time lost, while the page reads freely. */
  turn(): Promise<void> | void {
    if (this.reading.peek().how !== "freely") return this.wait();
  }

  private async wait(): Promise<void> {
    for (;;) {
      const reading = this.reading.peek();
      if (reading.how === "freely") return;
      if (reading.how === "stopped") {
        await this.change;
        continue;
      }
      const leftMs = this.nextAtMs - performance.now();
      if (leftMs <= 0) {
        this.nextAtMs = performance.now() + 1000 / reading.perSecond;
        return;
      }
      let timer: ReturnType<typeof setTimeout> | undefined;
      await Promise.race([this.change, new Promise((resolve) => (timer = setTimeout(resolve, leftMs)))]);
      clearTimeout(timer);
    }
  }
}

export const pace = new Pace();
