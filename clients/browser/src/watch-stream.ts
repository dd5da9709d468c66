/**
 * A stream that goes on: over lost connections, restarts of the service and pauses of the consumer.
 *
 * Two positions must not be mixed up. The *resumePoint* holds what has arrived here: the next stream goes on behind it, and
 * what comes twice at the join is dropped there. The consumer's own cursor (`Watch.cursor`) holds what it has taken.
 * Everything a stream changes, it changes before it calls out.
 */
import {classifyError, shouldRetry, Code, ApiError, ConnectionLostError, RequestRejectedError, WATCH_RETRY_CODES, type StreamError} from "./errors.ts";
import type {Cursor} from "./gen/tidings/v1/log_pb.ts";
import type {ConnectionObserver, Reconnector} from "./reconnector.ts";
import {Backoff} from "./backoff.ts";
import type {ResumePoint} from "./resume-point.ts";
import type {FlowWindow} from "./flow-window.ts";
import type {StreamObserver, Connection, RequestHandle} from "./connection.ts";

/** What is asked for, and how it is read. */
export interface StreamRequest<Item> {
  readonly route: string;
  /** The room, the users: for people who look at what is going on. */
  readonly subject: string;
  readonly encodeRequest: () => Uint8Array;
  readonly decode: (data: Uint8Array) => Item;
  /** The service ending it is a pause, not the end. */
  readonly isEndless: boolean;
}

export class WatchStream<Item extends {cursor?: Cursor}> implements ConnectionObserver, StreamObserver {
  /** No items will come any more; `failure` says why, undefined: everything was sent, or the consumer ended it. */
  isClosed = false;
  failure: ApiError | undefined;
  hasResponse = false;
  /** Behind the last item the consumer took; before the first, where it began. */
  position: Cursor | undefined;
  /** Items that arrived, and their bytes; streams that were opened for them. */
  receivedItems = 0;
  receivedBytes = 0;
  openedStreams = 0;
  private isStarted = false;
  private readonly buffer: {item: Item; bytes: number}[] = [];
  private connection: Connection | undefined;
  private stream: RequestHandle | undefined;
  private openTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly backoff: Backoff;
  private readonly waiters = new Set<() => void>();

  constructor(
    private readonly reconnector: Reconnector,
    readonly streamRequest: StreamRequest<Item>,
    readonly resumePoint: ResumePoint<Item>,
    readonly window: FlowWindow,
  ) {
    this.backoff = new Backoff(reconnector.settings.backoff);
    this.position = resumePoint.position;
  }

  // --- the consumer's side

  start(): void {
    if (this.isStarted) return;
    this.isStarted = true;
    this.reconnector.addObserver(this);
  }

  /** The next item if one is here; room for another one in the window. */
  popItem(): Item | undefined {
    const first = this.buffer.shift();
    if (!first) return undefined;
    this.window.onConsumed(first.bytes);
    if (first.item.cursor) this.position = first.item.cursor;
    if (this.stream) {
      const items = this.window.refill();
      if (items) this.stream.request(items);
    } else this.openStream();
    return first.item;
  }

  /** A stream is under way. */
  get isStreaming(): boolean {
    return this.stream !== undefined;
  }

  get isEmpty(): boolean {
    return !this.buffer.length;
  }

  /** Resolves at the next change: an item, an answer, or the end. */
  nextChange(): Promise<void> {
    return new Promise((resolve) => this.waiters.add(resolve));
  }

  /** The consumer is gone: CANCEL, and nothing is kept. */
  close(): void {
    this.buffer.length = 0;
    this.end(undefined);
  }

  // --- the keeper's side

  onConnected(connection: Connection): void {
    this.connection = connection;
    this.backoff.reset();
    clearTimeout(this.openTimer);
    this.openTimer = undefined;
    this.openStream();
  }

  onClosed(failure: ApiError): void {
    // A page that closes its client wants its endless loops to end; a range that was cut short is not all of it.
    this.end(this.streamRequest.isEndless && failure.code === Code.UNAVAILABLE ? undefined : failure);
  }

  // --- the stream's side

  onNext(data: Uint8Array): void {
    if (this.isClosed) return;
    this.window.onReceived(data.length);
    this.receivedItems += 1;
    this.receivedBytes += data.length;
    let item: Item;
    try {
      item = this.streamRequest.decode(data);
    } catch (error) {
      this.end(new ApiError(Code.INTERNAL, `${this.streamRequest.route}: an item that cannot be read: ${String(error)}`));
      return;
    }
    this.backoff.reset();
    this.hasResponse = true;
    if (this.resumePoint.accept(item)) this.buffer.push({item, bytes: data.length});
    else this.window.onConsumed(data.length);
    this.notifyWaiters();
  }

  onComplete(): void {
    this.onStreamLost();
    if (this.streamRequest.isEndless) this.openLater(0);
    else this.end(undefined);
  }

  onError(error: StreamError): void {
    if (this.isClosed) return;
    this.onStreamLost();
    const failure = classifyError(error);
    // The reconnector will say when there is another connection.
    if (failure instanceof ConnectionLostError) this.connection = undefined;
    else if (failure instanceof RequestRejectedError) this.openLater(0);
    else if (shouldRetry(failure, WATCH_RETRY_CODES)) this.openLater(failure.retryAfterMs ?? 0);
    else this.end(failure);
  }

  // --- inside

  private openStream(): void {
    if (this.isClosed || this.stream || this.openTimer !== undefined || !this.connection) return;
    const items = this.window.openStream();
    if (!items) return;
    this.resumePoint.onStreamOpened();
    this.openedStreams += 1;
    this.stream = this.connection.requestStream(this.streamRequest.route, this.streamRequest.encodeRequest(), items, this);
  }

  private openLater(atLeastMs: number): void {
    this.openTimer = setTimeout(() => {
      this.openTimer = undefined;
      this.openStream();
    }, this.backoff.nextDelayMs(atLeastMs));
  }

  private onStreamLost(): void {
    this.stream = undefined;
    this.window.onStreamEnded();
  }

  private end(failure: ApiError | undefined): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.failure = failure;
    const {stream} = this;
    this.stream = this.connection = undefined;
    clearTimeout(this.openTimer);
    this.reconnector.removeObserver(this);
    this.notifyWaiters();
    stream?.cancel();
  }

  private notifyWaiters(): void {
    const waiting = [...this.waiters];
    this.waiters.clear();
    for (const resolve of waiting) resolve();
  }
}
