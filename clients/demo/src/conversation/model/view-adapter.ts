import type {Event} from "@tidings/client";

/** What the model needs of the page: who reads, when to read, and when to paint. */
export interface ViewAdapter {
  readonly me: string;
  /** My read position when the room was opened; undefined: not known yet, or not kept because I am not a member. */
  readonly readSeq: number | undefined;
  /** Whether it is a direct room. May become known later: read it inside a computed signal. */
  isDirect(): boolean;
  /** Await it before each event; the read throttle of the inspector uses it. */
  nextTurn(): Promise<void> | void;
  /** Whether the page is visible and has the focus. */
  isWatched(): boolean;
  /** Call `draw` once, with the next animation frame, or soon if the page is hidden and has none. */
  onNextFrame(draw: () => void): void;
  /** These live events were just put on the page. */
  onPainted(events: readonly Event[]): void;
}

/** The message to scroll to, once it is on the page; Infinity: the newest. */
export interface ScrollTarget {
  readonly seq: number;
}
