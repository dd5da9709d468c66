/**
 * My rooms as signals, newest activity first; being added to a room counts as activity. The last known list is stored on this
 * device, so that it shows before the service replies, and offline.
 */
import {batch, computed, effect, type ReadonlySignal, signal} from "@preact/signals";
import {type Event, Role, RoomKind, type RoomState, type TidingsClient} from "@tidings/client";
import {currentRoute} from "../navigation/route.ts";
import {session} from "../session/session.ts";
import {loadMuted, loadRooms, saveMuted, saveRooms, STORED_ROOMS_MAX} from "./room-storage.ts";

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
  /** The text to show: the title, the other user of a direct room, or the name. */
  readonly title: string;
  readonly kind: RoomKind;
  readonly role: Role;
  /** The other user of a direct room; undefined: another kind, or not known yet. */
  readonly peer: string | undefined;
  readonly creator: string;
  readonly members: number;
  readonly head: bigint;
  readonly last: LastMessage | undefined;
  /** My read position, and the number of messages of others after it. */
  readonly readSeq: bigint;
  readonly unread: number;
  /** The time of the newest message, or of the creation; Unix milliseconds. */
  readonly activeMs: number;
  /** When this device saw that another user added me; 0: I was a member before, or joined myself. */
  readonly addedAtMs: number;
  /** Another user added me, and I have not opened it yet. */
  readonly isNew: boolean;
  /** Not counted in the title of the tab. Stored on this device. */
  readonly muted: boolean;
  /** Hidden from the list until its next message. */
  readonly hidden: boolean;
}

const roomsByName = signal<ReadonlyMap<string, RoomView>>(new Map());
const isComplete = signal(false);

/** My rooms, newest activity first, without hidden ones. */
export const rooms: ReadonlySignal<readonly RoomView[]> = computed(() =>
  [...roomsByName.value.values()].filter(({hidden}) => !hidden).sort((a, b) => sortKeyMs(b) - sortKeyMs(a) || a.name.localeCompare(b.name)),
);

function sortKeyMs({activeMs, addedAtMs}: RoomView): number {
  return Math.max(activeMs, addedAtMs);
}

/** Whether the service has sent all rooms since the page was opened. Before that, `rooms` is the stored list. */
export const roomsComplete: ReadonlySignal<boolean> = isComplete;

/** A room of mine by name, hidden or not; undefined: I am not a member. */
export function roomOf(name: string): RoomView | undefined {
  return roomsByName.value.get(name);
}

// --- muted rooms

const muted = signal<ReadonlySet<string>>(new Set());

/** Mute or unmute a room. */
export function setMuted(name: string, on: boolean): void {
  const now = new Set(muted.peek());
  if (on) now.add(name);
  else now.delete(name);
  muted.value = now;
  saveMuted(session.me.peek(), now);
  const room = roomsByName.peek().get(name);
  if (room) setRooms([{...room, muted: on}]);
}

// --- from the service

const SAVE_DELAY_MS = 1_000; // a busy list changes five times per second
const TEXT_CHARS_MAX = 200; // of a message in the list; it shows fewer

effect(() => {
  const client = session.tidings.value;
  const user = session.me.value;
  batch(() => {
    isComplete.value = false;
    muted.value = loadMuted(user);
    const stored = client && user ? loadRooms(user) : [];
    roomsByName.value = new Map(stored.map((room) => [room.name, room]));
    comparableClient = stored.length > 0 && stored.length < STORED_ROOMS_MAX ? client : undefined;
  });
  if (!client) return;
  let stopped = false;
  void followRooms(client, () => stopped);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const saveNow = () => {
    clearTimeout(timer);
    timer = undefined;
    if (isComplete.peek()) saveRooms(user, rooms.peek());
  };
  const watchChanges = effect(() => {
    if (isComplete.value && roomsByName.value) timer ??= setTimeout(saveNow, SAVE_DELAY_MS);
  });
  addEventListener("pagehide", saveNow);
  return () => {
    stopped = true;
    saveNow();
    watchChanges();
    removeEventListener("pagehide", saveNow);
  };
});

async function followRooms(client: TidingsClient, isStopped: () => boolean): Promise<void> {
  // A snapshot collects all rooms until the service is live: a room that is not in it is no longer mine. After a restart of
  // the service, which has another epoch, it sends a new snapshot.
  let epoch: string | undefined;
  let snapshot: Map<string, RoomView> | undefined;
  try {
    for await (const {cursor, item} of client.rooms.watch()) {
      if (isStopped()) return;
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
    // Rejected or closed: the connection banner shows it.
  }
}

let comparableClient: TidingsClient | undefined; // the client whose rooms can be compared with a complete earlier list

/** The service does not send when I was added to a room: this device sees that the room was not in the list before. */
function withJoinTime(room: RoomView, client: TidingsClient): RoomView {
  const before = roomsByName.peek().get(room.name);
  const isOwn = room.creator === session.me.peek() || currentRoute.peek()?.room === room.name;
  if (before) return {...room, addedAtMs: before.addedAtMs, isNew: before.isNew && before.readSeq === room.readSeq && !isOwn};
  // Without a complete earlier list, a room is new if I have read nothing in it.
  const isAdded = !isOwn && (comparableClient === client || room.readSeq === 0n);
  return {...room, addedAtMs: isAdded && comparableClient === client ? Date.now() : 0, isNew: isAdded};
}

// An open room is not new.
effect(() => {
  const room = currentRoute.value && roomsByName.value.get(currentRoute.value.room);
  if (room?.isNew) setRooms([{...room, isNew: false}]);
});

function setRooms(changed: RoomView[]): void {
  const now = new Map(roomsByName.peek());
  for (const room of changed) now.set(room.name, room);
  roomsByName.value = now;
}

// The other user of direct rooms whose name does not contain it: user names that are long, or have a colon.
const peers = new Map<string, string>();
let peersOf = ""; // the account that the entries belong to

effect(() => {
  const client = session.tidings.value;
  const me = session.me.value;
  if (me !== peersOf) peers.clear();
  peersOf = me;
  if (!client || !isComplete.value) return;
  for (const {name, kind, peer} of roomsByName.value.values()) {
    if (kind !== RoomKind.DIRECT || peer !== undefined || peers.has(name)) continue;
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
    peers.delete(name); // requested again when the list changes
  }
}

function removeRoom(name: string): void {
  const now = new Map(roomsByName.peek());
  now.delete(name);
  roomsByName.value = now;
}

function toRoomView({room, role, last, read, unread, hidden}: RoomState): RoomView {
  const {room: name, kind, title, creator, createdAtMs, head, members} = room!; // always set
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
  return {seq, atMs: Number(atMs), actor, text: text.slice(0, TEXT_CHARS_MAX), deleted};
}

/** The other user: the name of a direct room is `direct:ada:bob`, unless that would be ambiguous or too long. */
function peerOf(name: string, creator: string): string | undefined {
  const me = session.me.peek();
  const two = name.split(":").slice(1);
  if (two.length === 2) return two.find((user) => user !== me) ?? me;
  return creator && creator !== me ? creator : peers.get(name) || undefined;
}
