/**
 * What is going on below: for people who want to see it, and for tests. Not in the bundle of who does not import it.
 *
 *     const {state, connection, streams} = await inspect(tidings);
 *     for (const {route, subject, credit, buffered} of streams) console.log(route, subject, credit, buffered);
 */
import type {TidingsClient} from "./client.ts";
import type {ApiError} from "./errors.ts";
import {WatchStream} from "./watch-stream.ts";
import type {ClientState} from "./reconnector.ts";
import type {ConnectionStats} from "./connection.ts";

/** A client as it is at one moment. Times are Unix milliseconds by this device's clock. */
export interface Inspection {
  readonly state: ClientState;
  /** Why there is no connection. */
  readonly lastError: ApiError | undefined;
  /** The connection and what has passed through it, for all tabs that share it; undefined while there is none. */
  readonly connection: ConnectionStats | undefined;
  /** Attempts since the last connection that held. */
  readonly attempts: number;
  readonly nextAttemptAtMs: number | undefined;
  /** The end of what `drop` began. */
  readonly offlineUntilMs: number | undefined;
  /** There and back, as it was taken last. */
  readonly roundTripMs: number | undefined;
  /** This tab's streams, in the order they were begun. */
  readonly streams: readonly StreamInspection[];
  /** Messages on their way. */
  readonly pending: number;
}

/** One watch of this tab, over all the RSocket streams that it took. */
export interface StreamInspection {
  /** The method: `chat.watch`. */
  readonly route: string;
  /** The room, or the users; empty for what concerns everything. */
  readonly subject: string;
  /** Items asked for, in total. */
  readonly requested: number;
  /** Items that the service may still send: asked for and not yet arrived. At 0 it reads nothing for this stream. */
  readonly credit: number;
  /** Items that arrived, and their bytes, without those of the frames around them. */
  readonly received: number;
  readonly bytes: number;
  /** Items that arrived and were not yet taken. */
  readonly buffered: number;
  /** Where the consumer is: behind this seq. */
  readonly position: bigint | undefined;
  /** Where what has arrived ends: a new stream would go on behind this seq. */
  readonly receivedPosition: bigint | undefined;
  /** RSocket streams begun for it: more than one when it was resumed. */
  readonly openedStreams: number;
  /** One of them is under way. */
  readonly isStreaming: boolean;
}

/** How this client is. Asks the tab or worker that holds the connection; resolves in a few milliseconds, also offline. */
export async function inspect(tidings: TidingsClient): Promise<Inspection> {
  const {reconnector, outbox} = tidings.context;
  const connection = await reconnector.connection?.inspect?.().catch(() => undefined);
  const {state, lastError: trouble, backoff: attempts, nextAttemptAtMs: nextAttemptMs, offlineUntilMs: dropEndsMs, roundTripMs} = reconnector;
  const watchStreams = [...reconnector.observers].filter((observer) => observer instanceof WatchStream);
  return {
    ...{state, lastError: trouble, connection, attempts: attempts.attempts, nextAttemptAtMs: nextAttemptMs, offlineUntilMs: dropEndsMs, roundTripMs},
    ...{streams: watchStreams.map(inspectStream), pending: outbox.pending().length},
  };
}

/**
 * Behave as if the network were gone for `ms`: for demonstrations and tests. Only for this client; other tabs keep the
 * connection if they share it. Afterwards everything resumes where it was. Call what is returned, or drop for 0, to end it
 * early.
 */
export function simulateOffline(tidings: TidingsClient, ms: number): () => void {
  const {reconnector} = tidings.context;
  reconnector.simulateOffline(ms);
  const untilMs = reconnector.offlineUntilMs;
  return () => {
    if (untilMs !== undefined && reconnector.offlineUntilMs === untilMs) reconnector.simulateOffline(0);
  };
}

function inspectStream({streamRequest: asked, window, resumePoint: seam, position, receivedItems: items, receivedBytes: bytes, openedStreams: opened, isStreaming: flows}: WatchStream<any>): StreamInspection {
  return {
    ...{route: asked.route, subject: asked.subject, requested: window.requested, credit: window.credit, buffered: window.buffered},
    ...{received: items, bytes, position: position?.seq, receivedPosition: seam.position?.seq, openedStreams: opened, isStreaming: flows},
  };
}
