/**
 * How fast this page reads. The conversation awaits a turn before it takes an event from its watch; what it does not take
 * it does not ask for, and demand does the rest, down to the service's disk.
 */
import {signal} from "@preact/signals";
import {pauseMeasuring} from "./latency.ts";

/** `freely`: as they come; `slowly`: so many a second; `stopped`: none. */
export type ReadSpeed = {mode: "freely"} | {mode: "slowly"; perSecond: number} | {mode: "stopped"};

class ReadThrottle {
  /** How the page reads now. Change it with `read`. */
  readonly speed = signal<ReadSpeed>({mode: "freely"});
  private notifyChange: () => void = () => undefined;
  private changed = new Promise<void>((resolve) => (this.notifyChange = resolve));
  private nextAtMs = 0;

  /** From now on; who waits for a turn is dealt with anew. */
  setSpeed(speed: ReadSpeed): void {
    this.speed.value = speed;
    pauseMeasuring("reading slowly", speed.mode !== "freely");
    this.nextAtMs = 0;
    const {notifyChange: changed} = this;
    this.changed = new Promise((resolve) => (this.notifyChange = resolve));
    changed();
  }

  /** Await it before each event. Nothing is returned, and so no time lost, while the page reads freely. */
  nextTurn(): Promise<void> | void {
    if (this.speed.peek().mode !== "freely") return this.wait();
  }

  private async wait(): Promise<void> {
    for (;;) {
      const reading = this.speed.peek();
      if (reading.mode === "freely") return;
      if (reading.mode === "stopped") {
        await this.changed;
        continue;
      }
      const leftMs = this.nextAtMs - performance.now();
      if (leftMs <= 0) {
        this.nextAtMs = performance.now() + 1000 / reading.perSecond;
        return;
      }
      let timer: ReturnType<typeof setTimeout> | undefined;
      await Promise.race([this.changed, new Promise((resolve) => (timer = setTimeout(resolve, leftMs)))]);
      clearTimeout(timer);
    }
  }
}

export const readThrottle = new ReadThrottle();
