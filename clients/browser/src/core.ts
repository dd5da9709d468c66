/** The parts that everything a client hands out works with. */
import type {Cache} from "./cache.ts";
import type {Emitter} from "./emitter.ts";
import type {Failure} from "./errors.ts";
import type {SendReply} from "./gen/tidings/v1/chat_pb.ts";
import type {Keeper, State} from "./keeper.ts";
import type {Outbox} from "./outbox.ts";
import type {Pending} from "./storage/storage.ts";

/** What `tidings.on(name, …)` tells. */
export interface Happenings {
  /** How the connection is; told again, with a new `tidings.trouble`, when the handshake has failed several times. */
  state: State;
  /** A message was written, or found after a reload, and is on its way. */
  pending: Pending;
  /** A message is in the log. */
  sent: {message: Pending; reply: SendReply};
  /** A message will not be sent: the service does not take it. */
  failed: {message: Pending; failure: Failure};
  /** A listener's watch ended with what a new connection does not heal. */
  error: unknown;
}

export interface Core {
  readonly keeper: Keeper;
  readonly outbox: Outbox;
  readonly cache: Cache;
  readonly tell: Emitter<Happenings>;
}
