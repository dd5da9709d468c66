import type {Cursor} from "./gen/tidings/v1/log_pb.ts";
import type {Feed} from "./feed.ts";

// Nobody can take from a feed whose watch is gone. The keeper knows the feed, the feed does not know its watch.
const forgotten = new FinalizationRegistry<Feed<any>>((feed) => feed.close());

/**
 * Something that goes on happening, as an async iterator. Made by `room.watch()` and its kin.
 *
 *     for await (const event of tidings.room("general").watch({after: cursor})) show(event);
 *
 * It begins with the first item asked for (or with `started()`), and survives lost connections and restarts of the
 * service: nothing is missing, nothing comes twice. Items are asked for as they are taken, 64 ahead at most: a loop that
 * is slow slows the service, a loop that stops stops it. Leaving the loop ends the watch on the service there and then; a
 * watch that is forgotten without that ends when the browser collects it.
 */
export class Watch<Out> implements AsyncIterableIterator<Out> {
  private wasLive = false;

  /** @internal */
  constructor(
    private readonly feed: Feed<any>,
    private readonly pick: (item: any) => Out | undefined,
  ) {
    forgotten.register(this, feed);
  }

  /** Behind the last item taken: hand it in as `after` another day, and the watch goes on there. */
  get cursor(): Cursor | undefined {
    return this.feed.position;
  }

  /** Everything there was has been taken; what follows is happening now. */
  get live(): boolean {
    return this.wasLive;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next item. Rejects with the Failure that a new connection does not heal. */
  async next(): Promise<IteratorResult<Out, undefined>> {
    this.feed.start();
    for (;;) {
      while (!this.feed.empty) {
        const item = this.feed.take() as {item?: {case?: string}};
        this.wasLive ||= item.item?.case === "live";
        const picked = this.pick(item);
        if (picked !== undefined) return {done: false, value: picked};
      }
      if (this.feed.over) {
        if (this.feed.failure) throw this.feed.failure;
        return {done: true, value: undefined};
      }
      await this.feed.change();
    }
  }

  /**
   * Resolves when the next item is here, which it does not take: until `next` is called the item is held, and counts as
   * not read. False: the watch is over, and `next` says how.
   */
  async arrived(): Promise<boolean> {
    this.feed.start();
    while (this.feed.empty && !this.feed.over) await this.feed.change();
    return !this.feed.empty;
  }

  /** Resolves when the service has begun to answer: what happens from then on will be seen. */
  async started(): Promise<void> {
    this.feed.start();
    while (!this.feed.answered && !this.feed.over) await this.feed.change();
    if (this.feed.failure) throw this.feed.failure;
  }

  /** End it here and on the service. */
  close(): void {
    this.feed.close();
  }

  /** Called by the language when a loop is left. */
  async return(): Promise<IteratorResult<Out, undefined>> {
    this.close();
    return {done: true, value: undefined};
  }
}
