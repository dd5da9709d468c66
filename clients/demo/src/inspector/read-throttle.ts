/**
 * The read speed of this page. The conversation awaits `nextTurn` before it takes an event from its watch. What it does not
 * take it does not request, so the service reads no more of the log for it.
 */
import {signal} from "@preact/signals";
import {pauseMeasuring} from "./latency.ts";

/** `freely`: as events arrive; `slowly`: at a rate; `stopped`: none. */
export type ReadSpeed = {mode: "freely"} | {mode: "slowly"; perSecond: number} | {mode: "stopped"};

class ReadThrottle {
  /** The current speed. Change it with `setSpeed`. */
  readonly speed = signal<ReadSpeed>({mode: "freely"});
  private notifyChange: () => void = () => undefined;
  private changed = new Promise<void>((resolve) => (this.notifyChange = resolve));
  private nextAtMs = 0;

  /** Takes effect at once, also for a turn that is being awaited. */
  setSpeed(speed: ReadSpeed): void {
    this.speed.value = speed;
    pauseMeasuring("reading slowly", speed.mode !== "freely");
    this.nextAtMs = 0;
    const {notifyChange} = this;
    this.changed = new Promise((resolve) => (this.notifyChange = resolve));
    notifyChange();
  }

  /** Await it before each event. Returns no promise while the page reads freely, so that it costs nothing. */
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
