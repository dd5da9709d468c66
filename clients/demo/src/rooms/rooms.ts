/**
 * My rooms as signals, newest activity first; that I came in is some. What was known last is kept on this device, so that the list is there before
 * the network answers, and without one.
 */
import {batch, computed, effect, type ReadonlySignal, signal} from "@preact/signals";
import {type Event, Role, RoomKind, type RoomState, type TidingsClient} from "@tidings/client";
import {mayStoreFor} from "../session/account-storage.ts";
import {currentRoute} from "../navigation/route.ts";
import {session} from "../session/session.ts";

/** The newest message of a room. */
export interface LastMessage {
  readonly seq: bigint;
  readonly atMs: number;
  readonly actor: string;
  readonly text: string;
  readonly deleted: boolean;
}

export interface RoomView {
  readonly name: string;
  /** As it is shown: the title, the other person of a direct room, or the name. */
  readonly title: string;
  readonly kind: RoomKind;
  readonly role: Role;
  /** The other one of a direct room, as far as its name tells. */
  readonly peer: string | undefined;
  readonly creator: string;
  readonly members: number;
  readonly head: bigint;
  readonly last: LastMessage | undefined;
  /** Up to where I have read, and how many messages of others are after it. */
  readonly readSeq: bigint;
  readonly unread: number;
  /** When something happened last, Unix milliseconds. */
  readonly activeMs: number;
  /** When this device heard that I was brought in; 0: I was in it before, or came in myself. */
  readonly addedAtMs: number;
  /** I was brought in, and have not been there yet. */
  readonly isNew: boolean;
  /** I asked not to be called for it; kept on this device. */
  readonly muted: boolean;
  /** I hid it: it is off the list until its next message. */
  readonly hidden: boolean;
}

const roomsByName = signal<ReadonlyMap<string, RoomView>>(new Map());
const isComplete = signal(false);

/** Mine, newest activity first, without those I hid. */
export const rooms: ReadonlySignal<readonly RoomView[]> = computed(() =>
  [...roomsByName.value.values()].filter(({hidden}) => !hidden).sort((a, b) => sortKeyMs(b) - sortKeyMs(a) || a.name.localeCompare(b.name)),
);

function sortKeyMs({activeMs, addedAtMs: cameMs}: RoomView): number {
  return Math.max(activeMs, cameMs);
}

/** Whether the service has serverConfig all of them since the page was opened; before, it is what was known last. */
export const roomsComplete: ReadonlySignal<boolean> = isComplete;

/** A room of mine by name, hidden or not. */
export function roomOf(name: string): RoomView | undefined {
  return roomsByName.value.get(name);
}

// --- what is kept on this device

const SAVE_DELAY_MS = 1_000; // a busy list changes five times a second
const STORED_ROOMS_MAX = 500;
const STORED_TEXT_CHARS_MAX = 200;

const muted = signal<ReadonlySet<string>>(new Set());

/** Be called for this room, or not. */
export function setMuted(name: string, on: boolean): void {
  const now = new Set(muted.peek());
  if (on) now.add(name);
  else now.delete(name);
  muted.value = now;
  const user = session.me.peek();
  if (mayStoreFor(user)) localStorage.setItem(mutedKey(user), JSON.stringify([...now]));
  const room = roomsByName.peek().get(name);
  if (room) setRooms([{...room, muted: on}]);
}

function mutedKey(user: string): string {
  return `tidings.muted ${user}`;
}

function roomsKey(user: string): string {
  return `tidings.rooms ${user}`;
}

/** As JSON, in which a seq becomes {"seq": "123"}: it has no numbers that large. */
function saveRooms(user: string): void {
  const newest = rooms.peek().slice(0, STORED_ROOMS_MAX);
  const text = JSON.stringify(newest, (_, value: unknown) => (typeof value === "bigint" ? {seq: String(value)} : value));
  try {
    localStorage.setItem(roomsKey(user), text);
  } catch {
    // No more room on this device: the list will come from the network.
  }
}

function loadRooms(user: string): RoomView[] {
  const revive = (_: string, value: unknown): unknown => {
    if (typeof value !== "object" || value === null) return value;
    const names = Object.keys(value);
    return names.length === 1 && names[0] === "seq" ? BigInt((value as {seq: string}).seq) : value;
  };
  const before = {cameMs: 0, isNew: false, hidden: false};
  return loadList(roomsKey(user), revive).filter(isRoomView).map((room) => ({...before, ...room}));
}

/** An older page kept something else, perhaps. */
function isRoomView(kept: unknown): kept is RoomView {
  if (typeof kept !== "object" || kept === null) return false;
  const {name, title, activeMs} = kept as Partial<RoomView>;
  return typeof name === "string" && typeof title === "string" && typeof activeMs === "number";
}

/** What is kept under this key; empty if that is no list. */
function loadList(key: string, revive?: (key: string, value: unknown) => unknown): unknown[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(key) ?? "[]", revive);
    return Array.isArray(kept) ? kept : [];
  } catch {
    return [];
  }
}

// --- what the service tells

effect(() => {
  const client = session.tidings.value;
  const user = session.me.value;
  batch(() => {
    isComplete.value = false;
    muted.value = new Set(user ? loadList(mutedKey(user)).filter((name) => typeof name === "string") : []);
    const kept = client && user ? loadRooms(user) : [];
    roomsByName.value = new Map(kept.map((room) => [room.name, room]));
    comparableClient = kept.length > 0 && kept.length < STORED_ROOMS_MAX ? client : undefined;
  });
  if (!client) return;
  let over = false;
  void followRooms(client, () => over);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const keepNow = () => {
    clearTimeout(timer);
    timer = undefined;
    if (isComplete.peek() && user && mayStoreFor(user)) saveRooms(user);
  };
  const watchChanges = effect(() => {
    if (isComplete.value && roomsByName.value) timer ??= setTimeout(keepNow, SAVE_DELAY_MS);
  });
  addEventListener("pagehide", keepNow);
  return () => {
    over = true;
    keepNow();
    watchChanges();
    removeEventListener("pagehide", keepNow);
  };
});

async function followRooms(client: TidingsClient, over: () => boolean): Promise<void> {
  // Until all have been serverConfig, those serverConfig are gathered: what is not among them is no longer mine. After a restart of the
  // service, which is another epoch, all are serverConfig anew.
  let epoch: string | undefined;
  let snapshot: Map<string, RoomView> | undefined;
  try {
    for await (const {cursor, item} of client.rooms.watch()) {
      if (over()) return;
      if (cursor && cursor.epoch !== epoch) {
        epoch = cursor.epoch;
        snapshot = new Map();
      }
      if (item.case === "room") {
        const room = withJoinTime(toRoomView(item.value), client);
        if (snapshot) snapshot.set(room.name, room);
        else setRooms([room]);
      } else if (item.case === "gone") {
        snapshot?.delete(item.value);
        removeRoom(item.value);
      } else if (item.case === "live" && snapshot) {
        const all = snapshot;
        snapshot = undefined;
        comparableClient = client;
        batch(() => {
          roomsByName.value = all;
          isComplete.value = true;
        });
      }
    }
  } catch {
    // Refused, or closed: the connection's banner says so.
  }
}

let comparableClient: TidingsClient | undefined; // what it tells can be compared with what was known

/** The service does not tell when I came into a room: this device sees that it was not in one before. */
function withJoinTime(room: RoomView, client: TidingsClient): RoomView {
  const before = roomsByName.peek().get(room.name);
  const isOwn = room.creator === session.me.peek() || currentRoute.peek()?.room === room.name;
  if (before) return {...room, addedAtMs: before.addedAtMs, isNew: before.isNew && before.readSeq === room.readSeq && !isOwn};
  // On a device that knows nothing yet, or not all, rooms are new in which nothing was ever read.
  const isAdded = !isOwn && (comparableClient === client || room.readSeq === 0n);
  return {...room, addedAtMs: isAdded && comparableClient === client ? Date.now() : 0, isNew: isAdded};
}

// Where I am is not new.
effect(() => {
  const room = currentRoute.value && roomsByName.value.get(currentRoute.value.room);
  if (room?.isNew) setRooms([{...room, isNew: false}]);
});

function setRooms(changed: RoomView[]): void {
  const now = new Map(roomsByName.peek());
  for (const room of changed) now.set(room.name, room);
  roomsByName.value = now;
}

// The other one of direct rooms whose name does not tell: names that are long, or have a colon.
const peers = new Map<string, string>();
let peersOf = ""; // to whom they are the others

effect(() => {
  const client = session.tidings.value;
  const me = session.me.value;
  if (me !== peersOf) peers.clear();
  peersOf = me;
  if (!client || !isComplete.value) return;
  for (const {name, kind, peer: other} of roomsByName.value.values()) {
    if (kind !== RoomKind.DIRECT || other !== undefined || peers.has(name)) continue;
    peers.set(name, "");
    void fetchPeer(client, name, me);
  }
});

async function fetchPeer(client: TidingsClient, name: string, me: string): Promise<void> {
  try {
    const {members} = await client.room(name).members();
    const other = members.find(({user}) => user !== me)?.user;
    if (other === undefined || session.tidings.peek() !== client) return;
    peers.set(name, other);
    const room = roomsByName.peek().get(name);
    if (room) setRooms([{...room, peer: other, title: other}]);
  } catch {
    peers.delete(name); // asked again when the list changes
  }
}

function removeRoom(name: string): void {
  const now = new Map(roomsByName.peek());
  now.delete(name);
  roomsByName.value = now;
}

function toRoomView({room, role, last, read, unread, hidden}: RoomState): RoomView {
  const {room: name, kind, title, creator, createdAtMs, head, members} = room!; // always there
  const other = kind === RoomKind.DIRECT ? peerOf(name, creator) : undefined;
  const message = last && toLastMessage(last);
  const activeMs = message?.atMs ?? Number(createdAtMs);
  const shown = other ?? (title || name);
  return {
    ...{name, kind, role, peer: other, creator, members, readSeq: read, unread, activeMs, addedAtMs: 0, isNew: false},
    ...{title: shown, head: head?.seq ?? 0n, last: message, muted: muted.peek().has(name), hidden},
  };
}

export function toLastMessage({seq, atMs, actor, what}: Event): LastMessage | undefined {
  if (what.case !== "posted") return undefined;
  const {text, deleted} = what.value;
  return {seq, atMs: Number(atMs), actor, text: text.slice(0, STORED_TEXT_CHARS_MAX), deleted};
}

/** Whom I talk to: the name of a direct room tells both, `direct:ada:bob`, unless it would be ambiguous or too long. */
function peerOf(name: string, creator: string): string | undefined {
  const me = session.me.peek();
  const two = name.split(":").slice(1);
  if (two.length === 2) return two.find((user) => user !== me) ?? me;
  return creator && creator !== me ? creator : peers.get(name) || undefined;
}
