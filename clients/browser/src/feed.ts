/**
 * A stream that goes on: over lost connections, restarts of the service and pauses of the consumer.
 *
 * Two positions must not be mixed up. The *seam* holds what has arrived here: the next stream goes on behind it, and
 * what comes twice at the join is dropped there. The consumer's own cursor (`Watch.cursor`) holds what it has taken.
 * Everything a feed changes, it changes before it calls out.
 */
import {answeredWith, again, Code, Failure, Lost, Rejected, retryMs, WATCH_AGAIN, type WireError} from "./errors.ts";
import type {Cursor} from "./gen/tidings/v1/log_pb.ts";
import type {Follower, Keeper} from "./keeper.ts";
import {Attempts} from "./reconnect.ts";
import type {Seam} from "./seams.ts";
import type {Window} from "./window.ts";
import type {Receiver, Wire, WireStream} from "./wire.ts";

/** What is asked for, and how it is read. */
export interface Asked<Item> {
  readonly route: string;
  /** The room, the users: for people who look at what is going on. */
  readonly about: string;
  readonly request: () => Uint8Array;
  readonly decode: (data: Uint8Array) => Item;
  /** The service ending it is a pause, not the end. */
  readonly endless: boolean;
}

export class Feed<Item extends {cursor?: Cursor}> implements Follower, Receiver {
  /** No items will come any more; `failure` says why, undefined: everything was sent, or the consumer ended it. */
  over = false;
  failure: Failure | undefined;
  answered = false;
  /** Behind the last item the consumer took; before the first, where it began. */
  position: Cursor | undefined;
  /** Items that arrived, and their bytes; streams that were opened for them. */
  items = 0;
  bytes = 0;
  opened = 0;
  private started = false;
  private readonly held: {item: Item; bytes: number}[] = [];
  private wire: Wire | undefined;
  private stream: WireStream | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly attempts: Attempts;
  private readonly waiting = new Set<() => void>();

  constructor(
    private readonly keeper: Keeper,
    readonly asked: Asked<Item>,
    readonly seam: Seam<Item>,
    readonly window: Window,
  ) {
    this.attempts = new Attempts(keeper.settings.jitter);
    this.position = seam.position;
  }

  // --- the consumer's side

  start(): void {
    if (this.started) return;
    this.started = true;
    this.keeper.follow(this);
  }

  /** The next item if one is here; room for another one in the window. */
  take(): Item | undefined {
    const first = this.held.shift();
    if (!first) return undefined;
    this.window.taken(first.bytes);
    if (first.item.cursor) this.position = first.item.cursor;
    if (this.stream) {
      const items = this.window.refill();
      if (items) this.stream.request(items);
    } else this.open();
    return first.item;
  }

  /** A stream is under way. */
  get flows(): boolean {
    return this.stream !== undefined;
  }

  get empty(): boolean {
    return !this.held.length;
  }

  /** Resolves at the next change: an item, an answer, or the end. */
  change(): Promise<void> {
    return new Promise((resolve) => this.waiting.add(resolve));
  }

  /** The consumer is gone: CANCEL, and nothing is kept. */
  close(): void {
    this.held.length = 0;
    this.end(undefined);
  }

  // --- the keeper's side

  wireUp(wire: Wire): void {
    this.wire = wire;
    this.attempts.reset();
    clearTimeout(this.timer);
    this.timer = undefined;
    this.open();
  }

  wireGoneForGood(failure: Failure): void {
    // A page that closes its client wants its endless loops to end; a range that was cut short is not all of it.
    this.end(this.asked.endless && failure.code === Code.UNAVAILABLE ? undefined : failure);
  }

  // --- the stream's side

  next(data: Uint8Array): void {
    if (this.over) return;
    this.window.arrived(data.length);
    this.items += 1;
    this.bytes += data.length;
    let item: Item;
    try {
      item = this.asked.decode(data);
    } catch (error) {
      this.end(new Failure(Code.INTERNAL, `${this.asked.route}: an item that cannot be read: ${String(error)}`));
      return;
    }
    this.attempts.reset();
    this.answered = true;
    if (this.seam.accept(item)) this.held.push({item, bytes: data.length});
    else this.window.taken(data.length);
    this.wake();
  }

  complete(): void {
    this.lostStream();
    if (this.asked.endless) this.openLater(0);
    else this.end(undefined);
  }

  error(error: WireError): void {
    if (this.over) return;
    this.lostStream();
    const what = answeredWith(error);
    // The keeper will say when there is another wire.
    if (what instanceof Lost) this.wire = undefined;
    else if (what instanceof Rejected) this.openLater(0);
    else if (again(what, WATCH_AGAIN)) this.openLater(retryMs(what) ?? 0);
    else this.end(what);
  }

  // --- inside

  private open(): void {
    if (this.over || this.stream || this.timer !== undefined || !this.wire) return;
    const items = this.window.open();
    if (!items) return;
    this.seam.opened();
    this.opened += 1;
    this.stream = this.wire.requestStream(this.asked.route, this.asked.request(), items, this);
  }

  private openLater(atLeastMs: number): void {
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.open();
    }, this.attempts.nextMs(atLeastMs));
  }

  private lostStream(): void {
    this.stream = undefined;
    this.window.ended();
  }

  private end(failure: Failure | undefined): void {
    if (this.over) return;
    this.over = true;
    this.failure = failure;
    const {stream} = this;
    this.stream = this.wire = undefined;
    clearTimeout(this.timer);
    this.keeper.unfollow(this);
    this.wake();
    stream?.cancel();
  }

  private wake(): void {
    const waiting = [...this.waiting];
    this.waiting.clear();
    for (const resolve of waiting) resolve();
  }
}
