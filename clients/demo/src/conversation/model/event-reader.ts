/**
 * Reads a room: the cached events, then the newest page, then the live watch, one event at a time and in log order.
 *
 * If few events were missed since the cache was written, the watch resumes at the cache's cursor; otherwise the newest page
 * replaces the cache. On CURSOR_LOST the cache is cleared and reading starts again. It knows nothing of rows or frames.
 */
import {ApiError, Code, type Cursor, type Event, type Room, type Watch, type WatchItem} from "@tidings/client";
import {PAGE_EVENTS} from "./page-loader.ts";

const CATCH_UP_EVENTS_MAX = 500; // with more missed events, loading the newest page is faster than catching up

export interface EventPage {
  readonly events: readonly Event[];
  /** Messages carry their changes up to this seq; 0: the changes are among the events. */
  readonly asOf: number;
  readonly isAtBeginning: boolean;
}

export interface EventReaderObserver {
  /** Replace what is shown by this page. */
  onPage(page: EventPage): void;
  /** The first page is complete. Events up to `asOf` that follow carry their changes up to that seq. */
  onLoaded(asOf: number): void;
  onEvent(event: Event): void;
  /** The events `from` to `to` were removed, or skipped. */
  onGap(from: number, to: number): void;
  /** Everything that was missed has been delivered. */
  onLive(): void;
  /** The log was replaced, or the missed events are gone: drop everything read so far. */
  onReset(): void;
  /** Reading ended: no such room, or not permitted. */
  onFailure(failure: ApiError): void;
}

export class EventReader {
  private watch: Watch<WatchItem> | undefined;
  private isStopped = false;
  private epoch = "";
  private lastCacheWrite: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly room: Room,
    private readonly nextTurn: () => Promise<void> | void,
    private readonly observer: EventReaderObserver,
  ) {}

  /** Read until `stop` or a failure. */
  async run(): Promise<void> {
    while (!this.isStopped) {
      try {
        await this.follow(await this.load());
        return;
      } catch (error) {
        if (this.isStopped) return;
        const failure = error instanceof ApiError ? error : new ApiError(Code.INTERNAL, String(error));
        if (failure.code !== Code.CURSOR_LOST) return this.observer.onFailure(failure);
        await this.room.clearCache();
        this.observer.onReset();
      }
    }
  }

  stop(): void {
    this.isStopped = true;
    this.watch?.close();
  }

  /** Append these events to the room's cache. */
  cacheEvents(events: readonly Event[]): void {
    const {epoch} = this;
    this.lastCacheWrite = this.lastCacheWrite.then(() => this.room.cacheEvents(events, {epoch}));
  }

  /** Load the first page; the cursor to watch from, undefined if stopped meanwhile. */
  private async load(): Promise<Cursor | undefined> {
    const {room} = this;
    const cached = await room.cachedEvents();
    if (cached && !this.isStopped) this.observer.onPage({events: cached.events, asOf: 0, isAtBeginning: cached.events[0]?.seq === 1n});
    // Without a network this waits for it, however long that takes.
    const page = await room.history({limit: PAGE_EVENTS}, Infinity);
    if (this.isStopped) return undefined;
    const head = page.head!;
    this.epoch = head.epoch;
    const asOf = Number(head.seq);
    const mayCatchUp = cached && cached.cursor.epoch === head.epoch && cached.cursor.seq <= head.seq && head.seq - cached.cursor.seq <= CATCH_UP_EVENTS_MAX;
    if (!mayCatchUp) {
      if (cached) await room.clearCache();
      this.cacheEvents(page.events);
      this.observer.onPage({events: page.events, asOf, isAtBeginning: !page.more});
    }
    this.observer.onLoaded(asOf);
    return mayCatchUp ? cached.cursor : head;
  }

  private async follow(after: Cursor | undefined): Promise<void> {
    if (!after) return;
    const watch = this.room.items({after});
    this.watch = watch;
    for (;;) {
      // Taking an item marks it as consumed and asks for more, so wait for the turn first.
      if (await watch.waitForItem()) await this.nextTurn();
      if (this.isStopped) return;
      const {done, value} = await watch.next();
      if (done || this.isStopped) return;
      const {item, cursor} = value;
      if (cursor?.epoch) this.epoch = cursor.epoch;
      if (item.case === "event") this.observer.onEvent(item.value);
      else if (item.case === "gap") this.observer.onGap(Number(item.value.from), Number(item.value.to));
      else if (item.case === "live") this.observer.onLive();
    }
  }
}
