import type {Cursor} from "./gen/tidings/v1/log_pb.ts";
import type {WatchStream} from "./watch-stream.ts";

// Nobody can take from a stream whose watch is gone. The reconnector knows the stream, the stream does not know its watch.
const collectedWatches = new FinalizationRegistry<WatchStream<any>>((stream) => stream.close());

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
  private isLive = false;

  /** @internal */
  constructor(
    private readonly stream: WatchStream<any>,
    private readonly select: (item: any) => Out | undefined,
  ) {
    collectedWatches.register(this, stream);
  }

  /** Behind the last item taken: hand it in as `after` another day, and the watch goes on there. */
  get cursor(): Cursor | undefined {
    return this.stream.position;
  }

  /** Everything there was has been taken; what follows is happening now. */
  get live(): boolean {
    return this.isLive;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next item. Rejects with the Failure that a new connection does not heal. */
  async next(): Promise<IteratorResult<Out, undefined>> {
    this.stream.start();
    for (;;) {
      while (!this.stream.isEmpty) {
        const item = this.stream.popItem() as {item?: {case?: string}};
        this.isLive ||= item.item?.case === "live";
        const picked = this.select(item);
        if (picked !== undefined) return {done: false, value: picked};
      }
      if (this.stream.isClosed) {
        if (this.stream.failure) throw this.stream.failure;
        return {done: true, value: undefined};
      }
      await this.stream.nextChange();
    }
  }

  /**
   * Resolves when the next item is here, which it does not take: until `next` is called the item is held, and counts as
   * not read. False: the watch is over, and `next` says how.
   */
  async waitForItem(): Promise<boolean> {
    this.stream.start();
    while (this.stream.isEmpty && !this.stream.isClosed) await this.stream.nextChange();
    return !this.stream.isEmpty;
  }

  /** Resolves when the service has begun to answer: what happens from then on will be seen. */
  async waitStarted(): Promise<void> {
    this.stream.start();
    while (!this.stream.hasResponse && !this.stream.isClosed) await this.stream.nextChange();
    if (this.stream.failure) throw this.stream.failure;
  }

  /** End it here and on the service. */
  close(): void {
    this.stream.close();
  }

  /** Called by the language when a loop is left. */
  async return(): Promise<IteratorResult<Out, undefined>> {
    this.close();
    return {done: true, value: undefined};
  }
}
