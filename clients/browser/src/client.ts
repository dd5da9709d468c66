import {EventCache} from "./event-cache.ts";
import {call} from "./calls.ts";
import type {ClientContext, ClientEvents} from "./client-context.ts";
import {Emitter} from "./emitter.ts";
import type {ApiError} from "./errors.ts";
import type {SendReply} from "./gen/tidings/v1/chat_pb.ts";
import {History, type SearchReply} from "./gen/tidings/v1/history_pb.ts";
import {RoomKind} from "./gen/tidings/v1/log_pb.ts";
import {Presence as PresenceService, type PresenceItem, type Status} from "./gen/tidings/v1/presence_pb.ts";
import {type ListReply, type RoomReply, Rooms as RoomsService, RoomScope, type RoomsItem} from "./gen/tidings/v1/rooms_pb.ts";
import {type InfoReply, type RefreshReply, Session as SessionService} from "./gen/tidings/v1/session_pb.ts";
import {accountOf, CredentialsProvider, type TokenSource} from "./credentials.ts";
import {Reconnector, type ClientState} from "./reconnector.ts";
import {type LockManagerLike, platformLocks} from "./locks.ts";
import {randomId} from "./random-id.ts";
import {type NetworkStatus, platformNetwork} from "./network.ts";
import {Outbox} from "./outbox.ts";
import {watchPresence, watchRooms} from "./presence.ts";
import {type BackoffPolicy, DEFAULT_BACKOFF} from "./backoff.ts";
import {Room} from "./room.ts";
import {directConnector, type WebSocketFactory} from "./rsocket-connection.ts";
import {sharedConnector} from "./shared/connector.ts";
import {TabCoordinator} from "./tab-coordinator.ts";
import {openStorage} from "./storage/indexeddb.ts";
import {MemoryStorage} from "./storage/memory.ts";
import type {PendingMessage, Storage} from "./storage/storage.ts";
import type {Watch} from "./watch.ts";
import type {Connector} from "./connection.ts";

/** How to connect. `url` and one of `token` and `user` are enough. */
export interface ConnectOptions {
  /** ws:// or wss://, with the path /rsocket. */
  readonly url: string;
  /** A token, or a function that gives a fresh one: asked on every connection, and before the token runs out. */
  readonly token?: TokenSource;
  /** In development (tidings serve --dev): who you are. */
  readonly user?: string;
  readonly password?: string;
  /**
   * Whose messages this browser keeps, and whose tabs share a connection. Known from `user` and from a token that is a
   * text; say it beside a token that is a function. Where it is not known nothing is kept or shared.
   */
  readonly account?: string;
  /** Share one connection between the tabs of this origin; true unless `connector` or `makeSocket` is given. */
  readonly share?: boolean;
  readonly keepaliveMs?: number;
  /** Three minutes or more: browsers slow the timers of tabs in the background down to one a minute. */
  readonly lifetimeMs?: number;
  readonly connectMs?: number;
  readonly jitter?: BackoffPolicy;
  readonly storage?: Storage;
  readonly makeSocket?: WebSocketFactory;
  readonly connector?: Connector;
  readonly network?: NetworkStatus;
  /** With them tabs know of each other. */
  readonly locks?: LockManagerLike;
}

/** Begin to connect. Returns at once: everything asked for meanwhile waits. */
export function connect(options: ConnectOptions): TidingsClient {
  return new TidingsClient(options);
}

/** A client. Reconnects by itself until `close()`. */
export class TidingsClient {
  readonly session: Session;
  /** My rooms. */
  readonly rooms: Rooms;
  /** @internal */
  readonly context: ClientContext;
  private readonly shutDown: () => void;

  /** @internal */
  constructor(options: ConnectOptions) {
    const {url, token, user, password, jitter = DEFAULT_BACKOFF} = options;
    const {keepaliveMs = 30_000, lifetimeMs = 240_000, connectMs = 10_000, network = platformNetwork, locks = platformLocks} = options;
    const identity = new CredentialsProvider(token, user, password);
    const account = options.account ?? accountOf(token, user);
    const key = account === undefined ? undefined : `${url} ${account}`;
    const tell = new Emitter<ClientEvents>();
    const reconnector = new Reconnector(
      {url, keepaliveMs, lifetimeMs, connectMs, backoff: jitter},
      identity,
      connectorFor(options, key),
      network,
      (state) => {
        tell.emit("state", state);
        if (state === "online") void outbox.recoverPending();
      },
    );
    const storage = options.storage ? Promise.resolve(options.storage) : key ? openStorage(key) : Promise.resolve(new MemoryStorage());
    const together = key !== undefined && locks && typeof BroadcastChannel === "function";
    const tabs = together ? new TabCoordinator(key, locks, (news) => outbox.onTabUpdate(news)) : undefined;
    const told = {
      pending: (message: PendingMessage) => tell.emit("pending", message),
      sent: (message: PendingMessage, reply: SendReply) => tell.emit("sent", {message, reply}),
      failed: (message: PendingMessage, failure: ApiError) => tell.emit("failed", {message, failure}),
    };
    const outbox = new Outbox(reconnector, storage, told, tabs);
    this.context = {reconnector, outbox, cache: new EventCache(storage), events: tell};
    this.session = new Session(reconnector);
    this.rooms = new Rooms(reconnector);
    this.shutDown = () => {
      reconnector.close();
      tabs?.close();
    };
    // Listeners that are put on right after connect() hear everything.
    queueMicrotask(() => {
      if (reconnector.isClosed) return;
      void outbox.recoverPending();
      reconnector.start();
    });
  }

  /** How the connection is now. */
  get state(): ClientState {
    return this.context.reconnector.state;
  }

  /** Why there is no connection: of the last attempt, or for good. */
  get lastError(): ApiError | undefined {
    return this.context.reconnector.lastError;
  }

  /** Call `listener` on every change of state, pending, sent or failed message; call what is returned to stop. */
  on<Name extends keyof ClientEvents>(name: Name, listener: (value: ClientEvents[Name]) => void): () => void {
    return this.context.events.on(name, listener);
  }

  /** The room of this name. Nothing is asked for yet, so it need not exist. */
  room(name: string): Room {
    return new Room(this.context, name);
  }

  /** The state of these users: everybody, then `live`, then what changes. */
  presence(users: string[]): Watch<PresenceItem> {
    return watchPresence(this.context.reconnector, {users});
  }

  /** My status on all my devices until I change it. */
  async setPresence(status: Status, text = ""): Promise<void> {
    await call(this.context.reconnector, PresenceService.method.set, {status, text});
  }

  /** Messages in rooms of mine with all the words of `query`, newest first. */
  search(query: string, {room = "", from = "", page = "", limit = 0} = {}): Promise<SearchReply> {
    return call(this.context.reconnector, History.method.search, {query, room, from, page, limit});
  }

  /** End it. Messages on their way stay for the next client of this account. */
  close(): void {
    this.shutDown();
  }

  /** End it, and forget what this browser keeps of the account's rooms. Messages on their way stay, as with `close()`. */
  signOut(): Promise<void> {
    this.shutDown();
    return this.context.cache.clearAndClose();
  }
}

/** `tidings.rooms`: what concerns all rooms. */
export class Rooms {
  /** @internal */
  constructor(private readonly reconnector: Reconnector) {}

  /** Make a room; you become its owner. The same again gives the same answer. Its name is `reply.room.room`: a GROUP's is
   *  made from your name and the one asked for (`group:ada:kitchen`), the title is what people see. */
  create(room = "", {kind = RoomKind.GROUP, title = "", members = []}: {kind?: RoomKind; title?: string; members?: string[]} = {}): Promise<RoomReply> {
    // A name made here is the same one when the request has to be repeated.
    const name = room || (kind === RoomKind.DIRECT ? "" : randomId());
    return call(this.reconnector, RoomsService.method.create, {room: name, kind, title, members});
  }

  /** A page of my rooms by name, or of all open ones. */
  list({open = false, after = "", limit = 0} = {}): Promise<ListReply> {
    return call(this.reconnector, RoomsService.method.list, {scope: open ? RoomScope.PUBLIC : RoomScope.MINE, after, limit});
  }

  /** My rooms with heads, last messages and unread counts: all of them, then `live`, then what changes. */
  watch(): Watch<RoomsItem> {
    return watchRooms(this.reconnector);
  }
}

/** `tidings.session`: the connection itself. */
export class Session {
  /** @internal */
  constructor(private readonly reconnector: Reconnector) {}

  /** Who am I and which limits hold. */
  info(): Promise<InfoReply> {
    return this.measure(() => call(this.reconnector, SessionService.method.info, {}));
  }

  /** A new token on the living connection. Not needed where `token` is a function. */
  refresh(token: string): Promise<RefreshReply> {
    return call(this.reconnector, SessionService.method.refresh, {token});
  }

  /** There and back, in milliseconds. */
  async ping(): Promise<number> {
    const begun = performance.now();
    await this.measure(() => call(this.reconnector, SessionService.method.ping, {}));
    return performance.now() - begun;
  }

  private async measure<T>(ask: () => Promise<T>): Promise<T> {
    const {connection} = this.reconnector;
    const begun = performance.now();
    const answer = await ask();
    // Not what was waited for a connection.
    if (connection && connection === this.reconnector.connection) this.reconnector.roundTripMs = performance.now() - begun;
    return answer;
  }
}

function connectorFor(options: ConnectOptions, key: string | undefined): Connector {
  if (options.connector) return options.connector;
  const ownConnector = directConnector(options.makeSocket);
  const share = options.share ?? !options.makeSocket;
  return share && key !== undefined ? sharedConnector(key, ownConnector) : ownConnector;
}
