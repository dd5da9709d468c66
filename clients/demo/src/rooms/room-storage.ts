/**
 * What this device stores about the rooms of an account, in localStorage: the room list, and which rooms are muted. It is
 * removed at sign-out (`session/account-storage.ts`).
 */
import {mayStoreFor} from "../session/account-storage.ts";
import type {RoomView} from "./rooms.ts";

export const STORED_ROOMS_MAX = 500; // the newest ones; about 400 bytes each

/** Store the newest of these rooms, as JSON. It has no 64-bit integers, so a seq becomes {"seq": "123"}. */
export function saveRooms(user: string, rooms: readonly RoomView[]): void {
  const text = JSON.stringify(rooms.slice(0, STORED_ROOMS_MAX), (_, value: unknown) => (typeof value === "bigint" ? {seq: String(value)} : value));
  save(user, roomsKey(user), text);
}

/** The stored rooms of the account; empty if there are none, or no account. */
export function loadRooms(user: string): RoomView[] {
  const revive = (_: string, value: unknown): unknown => {
    if (typeof value !== "object" || value === null) return value;
    const names = Object.keys(value);
    return names.length === 1 && names[0] === "seq" ? BigInt((value as {seq: string}).seq) : value;
  };
  return user ? loadList(roomsKey(user), revive).filter(isRoomView) : [];
}

/** Store the names of the muted rooms. */
export function saveMuted(user: string, names: ReadonlySet<string>): void {
  save(user, mutedKey(user), JSON.stringify([...names]));
}

/** The names of the muted rooms of the account. */
export function loadMuted(user: string): ReadonlySet<string> {
  return new Set(user ? loadList(mutedKey(user)).filter((name) => typeof name === "string") : []);
}

function roomsKey(user: string): string {
  return `tidings.rooms ${user}`;
}

function mutedKey(user: string): string {
  return `tidings.muted ${user}`;
}

function save(user: string, key: string, text: string): void {
  if (!user || !mayStoreFor(user)) return;
  try {
    localStorage.setItem(key, text);
  } catch {
    // The storage of this device is full: the list comes from the service, and muting lasts until the next reload.
  }
}

/** An older version of the page may have stored another shape. */
function isRoomView(stored: unknown): stored is RoomView {
  if (typeof stored !== "object" || stored === null) return false;
  const {name, title, activeMs, addedAtMs, isNew, hidden} = stored as Partial<RoomView>;
  return [typeof name, typeof title].every((type) => type === "string") && [typeof activeMs, typeof addedAtMs].every((type) => type === "number") && [typeof isNew, typeof hidden].every((type) => type === "boolean");
}

/** The list stored under this key; empty if there is none. */
function loadList(key: string, revive?: (key: string, value: unknown) => unknown): unknown[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(key) ?? "[]", revive);
    return Array.isArray(stored) ? stored : [];
  } catch {
    return [];
  }
}
