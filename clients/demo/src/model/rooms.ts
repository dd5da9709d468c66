/**
 * My rooms as signals, newest activity first; that I came in is some. What was known last is kept on this device, so that the list is there before
 * the network answers, and without one.
 */
import {batch, computed, effect, type ReadonlySignal, signal} from "@preact/signals";
import {type Event, Role, RoomKind, type RoomState, type Tidings} from "@tidings/client";
import {isKeptFor} from "../kept.ts";
import {chosen} from "../route.ts";
import {session} from "../session.ts";

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
  readonly other: string | undefined;
  readonly creator: string;
  readonly members: number;
  readonly head: bigint;
  readonly last: LastMessage | undefined;
  /** Up to where I have read, and how many messages of others are after it. */
  readonly read: bigint;
  readonly unread: number;
  /** When something happened last, Unix milliseconds. */
  readonly activeMs: number;
  /** When this device heard that I was brought in; 0: I was in it before, or came in myself. */
  readonly cameMs: number;
  /** I was brought in, and have not been there yet. */
  readonly isNew: boolean;
  /** I asked not to be called for it; kept on this device. */
  readonly muted: boolean;
  /** I hid it: it is off the list until its next message. */
  readonly hidden: boolean;
}

const known = signal<ReadonlyMap<string, RoomView>>(new Map());
const complete = signal(false);

/** Mine, newest activity first, without those I hid. */
export const rooms: ReadonlySignal<readonly RoomView[]> = computed(() =>
  [...known.value.values()].filter(({hidden}) => !hidden).sort((a, b) => movedMs(b) - movedMs(a) || a.name.localeCompare(b.name)),
);

function movedMs({activeMs, cameMs}: RoomView): number {
  return Math.max(activeMs, cameMs);
}

/** Whether the service has told all of them since the page was opened; before, it is what was known last. */
export const roomsComplete: ReadonlySignal<boolean> = complete;

/** A room of mine by name, hidden or not. */
export function roomOf(name: string): RoomView | undefined {
  return known.value.get(name);
}

// --- what is kept on this device

const KEEP_MS = 1_000; // a busy list changes five times a second
const ROOMS_KEPT_MAX = 500;
const TEXT_KEPT_MAX = 200;

const muted = signal<ReadonlySet<string>>(new Set());

/** Be called for this room, or not. */
export function mute(name: string, on: boolean): void {
  const now = new Set(muted.peek());
  if (on) now.add(name);
  else now.delete(name);
  muted.value = now;
  const user = session.me.peek();
  if (isKeptFor(user)) localStorage.setItem(mutedName(user), JSON.stringify([...now]));
  const room = known.peek().get(name);
  if (room) put([{...room, muted: on}]);
}

function mutedName(user: string): string {
  return `tidings.muted ${user}`;
}

function keptName(user: string): string {
  return `tidings.rooms ${user}`;
}

/** As JSON, in which a seq becomes {"seq": "123"}: it has no numbers that large. */
function keep(user: string): void {
  const newest = rooms.peek().slice(0, ROOMS_KEPT_MAX);
  const text = JSON.stringify(newest, (_, value: unknown) => (typeof value === "bigint" ? {seq: String(value)} : value));
  try {
    localStorage.setItem(keptName(user), text);
  } catch {
    // No more room on this device: the list will come from the network.
  }
}

function keptRooms(user: string): RoomView[] {
  const revive = (_: string, value: unknown): unknown => {
    if (typeof value !== "object" || value === null) return value;
    const names = Object.keys(value);
    return names.length === 1 && names[0] === "seq" ? BigInt((value as {seq: string}).seq) : value;
  };
  const before = {cameMs: 0, isNew: false, hidden: false};
  return keptList(keptName(user), revive).filter(isRoom).map((room) => ({...before, ...room}));
}

/** An older page kept something else, perhaps. */
function isRoom(kept: unknown): kept is RoomView {
  if (typeof kept !== "object" || kept === null) return false;
  const {name, title, activeMs} = kept as Partial<RoomView>;
  return typeof name === "string" && typeof title === "string" && typeof activeMs === "number";
}

/** What is kept under this key; empty if that is no list. */
function keptList(key: string, revive?: (key: string, value: unknown) => unknown): unknown[] {
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
    complete.value = false;
    muted.value = new Set(user ? keptList(mutedName(user)).filter((name) => typeof name === "string") : []);
    const kept = client && user ? keptRooms(user) : [];
    known.value = new Map(kept.map((room) => [room.name, room]));
    acquainted = kept.length > 0 && kept.length < ROOMS_KEPT_MAX ? client : undefined;
  });
  if (!client) return;
  let over = false;
  void follow(client, () => over);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const keepNow = () => {
    clearTimeout(timer);
    timer = undefined;
    if (complete.peek() && user && isKeptFor(user)) keep(user);
  };
  const watchChanges = effect(() => {
    if (complete.value && known.value) timer ??= setTimeout(keepNow, KEEP_MS);
  });
  addEventListener("pagehide", keepNow);
  return () => {
    over = true;
    keepNow();
    watchChanges();
    removeEventListener("pagehide", keepNow);
  };
});

async function follow(client: Tidings, over: () => boolean): Promise<void> {
  // Until all have been told, those told are gathered: what is not among them is no longer mine. After a restart of the
  // service, which is another epoch, all are told anew.
  let epoch: string | undefined;
  let told: Map<string, RoomView> | undefined;
  try {
    for await (const {cursor, item} of client.rooms.watch()) {
      if (over()) return;
      if (cursor && cursor.epoch !== epoch) {
        epoch = cursor.epoch;
        told = new Map();
      }
      if (item.case === "room") {
        const room = asMet(view(item.value), client);
        if (told) told.set(room.name, room);
        else put([room]);
      } else if (item.case === "gone") {
        told?.delete(item.value);
        remove(item.value);
      } else if (item.case === "live" && told) {
        const all = told;
        told = undefined;
        acquainted = client;
        batch(() => {
          known.value = all;
          complete.value = true;
        });
      }
    }
  } catch {
    // Refused, or closed: the connection's banner says so.
  }
}

let acquainted: Tidings | undefined; // what it tells can be compared with what was known

/** The service does not tell when I came into a room: this device sees that it was not in one before. */
function asMet(room: RoomView, client: Tidings): RoomView {
  const before = known.peek().get(room.name);
  const byMe = room.creator === session.me.peek() || chosen.peek()?.room === room.name;
  if (before) return {...room, cameMs: before.cameMs, isNew: before.isNew && before.read === room.read && !byMe};
  // On a device that knows nothing yet, or not all, rooms are new in which nothing was ever read.
  const foreign = !byMe && (acquainted === client || room.read === 0n);
  return {...room, cameMs: foreign && acquainted === client ? Date.now() : 0, isNew: foreign};
}

// Where I am is not new.
effect(() => {
  const room = chosen.value && known.value.get(chosen.value.room);
  if (room?.isNew) put([{...room, isNew: false}]);
});

function put(changed: RoomView[]): void {
  const now = new Map(known.peek());
  for (const room of changed) now.set(room.name, room);
  known.value = now;
}

// The other one of direct rooms whose name does not tell: names that are long, or have a colon.
const others = new Map<string, string>();
let othersOf = ""; // to whom they are the others

effect(() => {
  const client = session.tidings.value;
  const me = session.me.value;
  if (me !== othersOf) others.clear();
  othersOf = me;
  if (!client || !complete.value) return;
  for (const {name, kind, other} of known.value.values()) {
    if (kind !== RoomKind.DIRECT || other !== undefined || others.has(name)) continue;
    others.set(name, "");
    void askWho(client, name, me);
  }
});

async function askWho(client: Tidings, name: string, me: string): Promise<void> {
  try {
    const {members} = await client.room(name).members();
    const other = members.find(({user}) => user !== me)?.user;
    if (other === undefined || session.tidings.peek() !== client) return;
    others.set(name, other);
    const room = known.peek().get(name);
    if (room) put([{...room, other, title: other}]);
  } catch {
    others.delete(name); // asked again when the list changes
  }
}

function remove(name: string): void {
  const now = new Map(known.peek());
  now.delete(name);
  known.value = now;
}

function view({room, role, last, read, unread, hidden}: RoomState): RoomView {
  const {room: name, kind, title, creator, createdAtMs, head, members} = room!; // always there
  const other = kind === RoomKind.DIRECT ? otherOf(name, creator) : undefined;
  const message = last && lastOf(last);
  const activeMs = message?.atMs ?? Number(createdAtMs);
  const shown = other ?? (title || name);
  return {
    ...{name, kind, role, other, creator, members, read, unread, activeMs, cameMs: 0, isNew: false},
    ...{title: shown, head: head?.seq ?? 0n, last: message, muted: muted.peek().has(name), hidden},
  };
}

export function lastOf({seq, atMs, actor, what}: Event): LastMessage | undefined {
  if (what.case !== "posted") return undefined;
  const {text, deleted} = what.value;
  return {seq, atMs: Number(atMs), actor, text: text.slice(0, TEXT_KEPT_MAX), deleted};
}

/** Whom I talk to: the name of a direct room tells both, `direct:ada:bob`, unless it would be ambiguous or too long. */
function otherOf(name: string, creator: string): string | undefined {
  const me = session.me.peek();
  const two = name.split(":").slice(1);
  if (two.length === 2) return two.find((user) => user !== me) ?? me;
  return creator && creator !== me ? creator : others.get(name) || undefined;
}
