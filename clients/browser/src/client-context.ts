/** The parts that everything a client hands out works with. */
import type {EventCache} from "./event-cache.ts";
import type {Emitter} from "./emitter.ts";
import type {ApiError} from "./errors.ts";
import type {SendReply} from "./gen/tidings/v1/chat_pb.ts";
import type {Reconnector, ClientState} from "./reconnector.ts";
import type {Outbox} from "./outbox.ts";
import type {PendingMessage} from "./storage/storage.ts";

/** What `tidings.on(name, …)` tells. */
export interface ClientEvents {
  /** How the connection is; told again, with a new `tidings.trouble`, when the handshake has failed several times. */
  state: ClientState;
  /** A message was written, or found after a reload, and is on its way. */
  pending: PendingMessage;
  /** A message is in the log. */
  sent: {message: PendingMessage; reply: SendReply};
  /** A message will not be sent: the service does not take it. */
  failed: {message: PendingMessage; failure: ApiError};
  /** A listener's watch ended with what a new connection does not heal. */
  error: unknown;
}

export interface ClientContext {
  readonly reconnector: Reconnector;
  readonly outbox: Outbox;
  readonly cache: EventCache;
  readonly events: Emitter<ClientEvents>;
}
