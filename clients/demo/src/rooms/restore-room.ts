/**
 * Who comes back to `/` is where they were: in the room that was open last on this device, or in their only one. Where one
 * thing is shown at a time the list comes first, as it does for whoever closes a room.
 */
import {effect} from "@preact/signals";
import type {TidingsClient} from "@tidings/client";
import {mayStoreFor} from "../session/account-storage.ts";
import {currentRoute, openRoom} from "../navigation/route.ts";
import {session} from "../session/session.ts";
import {roomOf, rooms, roomsComplete} from "./rooms.ts";

const wideScreen = matchMedia("(min-width: 44.01rem)"); // the list and a room, as shell.css has it
let restoredFor: TidingsClient | undefined; // for this one it is done

effect(() => {
  const client = session.tidings.value;
  if (!client || !session.isSignedIn.value || restoredFor === client) return;
  const last = localStorage.getItem(storageKey(session.me.value)) ?? "";
  const only = roomsComplete.value && rooms.value.length === 1 ? rooms.value[0] : undefined;
  const room = roomOf(last) ?? only;
  if (!room && !roomsComplete.value) return;
  restoredFor = client;
  if (room && !currentRoute.peek() && wideScreen.matches) openRoom(room.name);
});

effect(() => {
  const me = session.me.value;
  const room = currentRoute.value?.room;
  if (room === undefined || !session.isSignedIn.value || !mayStoreFor(me)) return;
  try {
    localStorage.setItem(storageKey(me), room);
  } catch {
    // No more room on this device: the list is shown the next time.
  }
});

function storageKey(user: string): string {
  return `tidings.last ${user}`;
}
