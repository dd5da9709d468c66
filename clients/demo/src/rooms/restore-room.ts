/**
 * Opens a room when the page is loaded at `/`: the room that was open last on this device, or else the user's only room. On
 * a narrow screen the list is shown instead.
 *
 * A room into which another user added this one is not opened by itself, because opening it marks its messages as read: that
 * tells the other members that the user is here, and counts as consent where `presence_visible_to` is `shared_rooms`. The
 * list shows such a room as new until the user opens it.
 */
import {effect} from "@preact/signals";
import type {TidingsClient} from "@tidings/client";
import {mayStoreFor} from "../session/account-storage.ts";
import {currentRoute, openRoom} from "../navigation/route.ts";
import {session} from "../session/session.ts";
import {roomOf, rooms, roomsComplete} from "./rooms.ts";

const wideScreen = matchMedia("(min-width: 44.01rem)"); // the width from which layout.css shows the list beside a room
let restoredFor: TidingsClient | undefined; // this happens once per client

effect(() => {
  const client = session.tidings.value;
  if (!client || !session.isSignedIn.value || restoredFor === client) return;
  const last = localStorage.getItem(storageKey(session.me.value)) ?? "";
  const only = roomsComplete.value && rooms.value.length === 1 ? rooms.value[0] : undefined;
  const room = [roomOf(last), only].find((found) => found && !found.isNew);
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
    // The storage of this device is full: the list is shown next time.
  }
});

function storageKey(user: string): string {
  return `tidings.last ${user}`;
}
