/**
 * What is going on below: for people who want to see it, and for tests. Not in the bundle of who does not import it.
 *
 *     const {state, connection, streams} = await inspect(tidings);
 *     for (const {route, about, credit, held} of streams) console.log(route, about, credit, held);
 */
import type {Tidings} from "./client.ts";
import type {Failure} from "./errors.ts";
import {Feed} from "./feed.ts";
import type {State} from "./keeper.ts";
import type {Connection} from "./wire.ts";

/** A client as it is at one moment. Times are Unix milliseconds by this device's clock. */
export interface Inspection {
  readonly state: State;
  /** Why there is no connection. */
  readonly trouble: Failure | undefined;
  /** The connection and what has passed through it, for all tabs that share it; undefined while there is none. */
  readonly connection: Connection | undefined;
  /** Attempts since the last connection that held. */
  readonly attempts: number;
  readonly nextAttemptMs: number | undefined;
  /** The end of what `drop` began. */
  readonly dropEndsMs: number | undefined;
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
  readonly about: string;
  /** Items asked for, in total. */
  readonly asked: number;
  /** Items that the service may still send: asked for and not yet arrived. At 0 it reads nothing for this stream. */
  readonly credit: number;
  /** Items that arrived, and their bytes, without those of the frames around them. */
  readonly received: number;
  readonly bytes: number;
  /** Items that arrived and were not yet taken. */
  readonly held: number;
  /** Where the consumer is: behind this seq. */
  readonly position: bigint | undefined;
  /** Where what has arrived ends: a new stream would go on behind this seq. */
  readonly arrived: bigint | undefined;
  /** RSocket streams begun for it: more than one when it was resumed. */
  readonly opened: number;
  /** One of them is under way. */
  readonly open: boolean;
}

/** How this client is. Asks the tab or worker that holds the connection; resolves in a few milliseconds, also offline. */
export async function inspect(tidings: Tidings): Promise<Inspection> {
  const {keeper, outbox} = tidings.core;
  const connection = await keeper.wire?.inspect?.().catch(() => undefined);
  const {state, trouble, attempts, nextAttemptMs, dropEndsMs, roundTripMs} = keeper;
  const feeds = [...keeper.followers].filter((follower) => follower instanceof Feed);
  return {
    ...{state, trouble, connection, attempts: attempts.count, nextAttemptMs, dropEndsMs, roundTripMs},
    ...{streams: feeds.map(stream), pending: outbox.pending().length},
  };
}

/**
 * Behave as if the network were gone for `ms`: for demonstrations and tests. Only for this client; other tabs keep the
 * connection if they share it. Afterwards everything resumes where it was. Call what is returned, or drop for 0, to end it
 * early.
 */
export function drop(tidings: Tidings, ms: number): () => void {
  const {keeper} = tidings.core;
  keeper.drop(ms);
  const ends = keeper.dropEndsMs;
  return () => {
    if (ends !== undefined && keeper.dropEndsMs === ends) keeper.drop(0);
  };
}

function stream({asked, window, seam, position, items, bytes, opened, flows}: Feed<any>): StreamInspection {
  return {
    ...{route: asked.route, about: asked.about, asked: window.asked, credit: window.granted, held: window.held},
    ...{received: items, bytes, position: position?.seq, arrived: seam.position?.seq, opened, open: flows},
  };
}
