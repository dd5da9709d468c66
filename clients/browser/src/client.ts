import {Cache} from "./cache.ts";
import {call} from "./calls.ts";
import type {Core, Happenings} from "./core.ts";
import {Emitter} from "./emitter.ts";
import type {Failure} from "./errors.ts";
import type {SendReply} from "./gen/tidings/v1/chat_pb.ts";
import {History, type SearchReply} from "./gen/tidings/v1/history_pb.ts";
import {RoomKind} from "./gen/tidings/v1/log_pb.ts";
import {Presence as PresenceService, type PresenceItem, type Status} from "./gen/tidings/v1/presence_pb.ts";
import {type ListReply, type RoomReply, Rooms as RoomsService, RoomScope, type RoomsItem} from "./gen/tidings/v1/rooms_pb.ts";
import {type InfoReply, type RefreshReply, Session as SessionService} from "./gen/tidings/v1/session_pb.ts";
import {accountOf, Identity, type Token} from "./identity.ts";
import {Keeper, type State} from "./keeper.ts";
import {type Locks, platformLocks} from "./locks.ts";
import {newName} from "./names.ts";
import {type Network, platformNetwork} from "./network.ts";
import {Outbox} from "./outbox.ts";
import {watchPresence, watchRooms} from "./presence.ts";
import {type Jitter, JITTER} from "./reconnect.ts";
import {Room} from "./room.ts";
import {direct, type SocketMaker} from "./rsocket.ts";
import {shared} from "./shared/connector.ts";
import {Siblings} from "./siblings.ts";
import {openStorage} from "./storage/indexeddb.ts";
import {MemoryStorage} from "./storage/memory.ts";
import type {Pending, Storage} from "./storage/storage.ts";
import type {Watch} from "./watch.ts";
import type {Connector} from "./wire.ts";

/** How to connect. `url` and one of `token` and `user` are enough. */
export interface Options {
  /** ws:// or wss://, with the path /rsocket. */
  readonly url: string;
  /** A token, or a function that gives a fresh one: asked on every connection, and before the token runs out. */
  readonly token?: Token;
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
  readonly jitter?: Jitter;
  readonly storage?: Storage;
  readonly makeSocket?: SocketMaker;
  readonly connector?: Connector;
  readonly network?: Network;
  /** With them tabs know of each other. */
  readonly locks?: Locks;
}

/** Begin to connect. Returns at once: everything asked for meanwhile waits. */
export function connect(options: Options): Tidings {
  return new Tidings(options);
}

/** A client. Reconnects by itself until `close()`. */
export class Tidings {
  readonly session: Session;
  /** My rooms. */
  readonly rooms: Rooms;
  /** @internal */
  readonly core: Core;
  private readonly closing: () => void;

  /** @internal */
  constructor(options: Options) {
    const {url, token, user, password, jitter = JITTER} = options;
    const {keepaliveMs = 30_000, lifetimeMs = 240_000, connectMs = 10_000, network = platformNetwork, locks = platformLocks} = options;
    const identity = new Identity(token, user, password);
    const account = options.account ?? accountOf(token, user);
    const key = account === undefined ? undefined : `${url} ${account}`;
    const tell = new Emitter<Happenings>();
    const keeper = new Keeper(
      {url, keepaliveMs, lifetimeMs, connectMs, jitter},
      identity,
      connectorOf(options, key),
      network,
      (state) => {
        tell.emit("state", state);
        if (state === "online") void outbox.adopt();
      },
    );
    const storage = options.storage ? Promise.resolve(options.storage) : key ? openStorage(key) : Promise.resolve(new MemoryStorage());
    const together = key !== undefined && locks && typeof BroadcastChannel === "function";
    const siblings = together ? new Siblings(key, locks, (news) => outbox.hear(news)) : undefined;
    const told = {
      pending: (message: Pending) => tell.emit("pending", message),
      sent: (message: Pending, reply: SendReply) => tell.emit("sent", {message, reply}),
      failed: (message: Pending, failure: Failure) => tell.emit("failed", {message, failure}),
    };
    const outbox = new Outbox(keeper, storage, told, siblings);
    this.core = {keeper, outbox, cache: new Cache(storage), tell};
    this.session = new Session(keeper);
    this.rooms = new Rooms(keeper);
    this.closing = () => {
      keeper.close();
      siblings?.close();
    };
    // Listeners that are put on right after connect() hear everything.
    queueMicrotask(() => {
      if (keeper.over) return;
      void outbox.adopt();
      keeper.start();
    });
  }

  /** How the connection is now. */
  get state(): State {
    return this.core.keeper.state;
  }

  /** Why there is no connection: of the last attempt, or for good. */
  get trouble(): Failure | undefined {
    return this.core.keeper.trouble;
  }

  /** Call `listener` on every change of state, pending, sent or failed message; call what is returned to stop. */
  on<Name extends keyof Happenings>(name: Name, listener: (value: Happenings[Name]) => void): () => void {
    return this.core.tell.on(name, listener);
  }

  /** The room of this name. Nothing is asked for yet, so it need not exist. */
  room(name: string): Room {
    return new Room(this.core, name);
  }

  /** The state of these users: everybody, then `live`, then what changes. */
  presence(users: string[]): Watch<PresenceItem> {
    return watchPresence(this.core.keeper, {users});
  }

  /** My status on all my devices until I change it. */
  async setPresence(status: Status, text = ""): Promise<void> {
    await call(this.core.keeper, PresenceService.method.set, {status, text});
  }

  /** Messages in rooms of mine with all the words of `query`, newest first. */
  search(query: string, {room = "", from = "", page = "", limit = 0} = {}): Promise<SearchReply> {
    return call(this.core.keeper, History.method.search, {query, room, from, page, limit});
  }

  /** End it. Messages on their way stay for the next client of this account. */
  close(): void {
    this.closing();
  }

  /** End it, and forget what this browser keeps of the account's rooms. Messages on their way stay, as with `close()`. */
  signOut(): Promise<void> {
    this.closing();
    return this.core.cache.end();
  }
}

/** `tidings.rooms`: what concerns all rooms. */
export class Rooms {
  /** @internal */
  constructor(private readonly keeper: Keeper) {}

  /** Make a room; you become its owner. The same again gives the same answer. Its name is `reply.room.room`: a GROUP's is
   *  made from your name and the one asked for (`group:ada:kitchen`), the title is what people see. */
  create(room = "", {kind = RoomKind.GROUP, title = "", members = []}: {kind?: RoomKind; title?: string; members?: string[]} = {}): Promise<RoomReply> {
    // A name made here is the same one when the request has to be repeated.
    const name = room || (kind === RoomKind.DIRECT ? "" : newName());
    return call(this.keeper, RoomsService.method.create, {room: name, kind, title, members});
  }

  /** A page of my rooms by name, or of all open ones. */
  list({open = false, after = "", limit = 0} = {}): Promise<ListReply> {
    return call(this.keeper, RoomsService.method.list, {scope: open ? RoomScope.PUBLIC : RoomScope.MINE, after, limit});
  }

  /** My rooms with heads, last messages and unread counts: all of them, then `live`, then what changes. */
  watch(): Watch<RoomsItem> {
    return watchRooms(this.keeper);
  }
}

/** `tidings.session`: the connection itself. */
export class Session {
  /** @internal */
  constructor(private readonly keeper: Keeper) {}

  /** Who am I and which limits hold. */
  info(): Promise<InfoReply> {
    return this.timed(() => call(this.keeper, SessionService.method.info, {}));
  }

  /** A new token on the living connection. Not needed where `token` is a function. */
  refresh(token: string): Promise<RefreshReply> {
    return call(this.keeper, SessionService.method.refresh, {token});
  }

  /** There and back, in milliseconds. */
  async ping(): Promise<number> {
    const begun = performance.now();
    await this.timed(() => call(this.keeper, SessionService.method.ping, {}));
    return performance.now() - begun;
  }

  private async timed<T>(ask: () => Promise<T>): Promise<T> {
    const {wire} = this.keeper;
    const begun = performance.now();
    const answer = await ask();
    // Not what was waited for a connection.
    if (wire && wire === this.keeper.wire) this.keeper.roundTripMs = performance.now() - begun;
    return answer;
  }
}

function connectorOf(options: Options, key: string | undefined): Connector {
  if (options.connector) return options.connector;
  const own = direct(options.makeSocket);
  const share = options.share ?? !options.makeSocket;
  return share && key !== undefined ? shared(key, own) : own;
}
