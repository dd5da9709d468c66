/**
 * Who comes back to `/` is where they were: in the room that was open last on this device, or in their only one. Where one
 * thing is shown at a time the list comes first, as it does for whoever closes a room.
 */
import {effect} from "@preact/signals";
import type {Tidings} from "@tidings/client";
import {isKeptFor} from "../kept.ts";
import {chosen, open} from "../route.ts";
import {session} from "../session.ts";
import {roomOf, rooms, roomsComplete} from "./rooms.ts";

const beside = matchMedia("(min-width: 44.01rem)"); // the list and a room, as shell.css has it
let come: Tidings | undefined; // for this one it is done

effect(() => {
  const client = session.tidings.value;
  if (!client || !session.inside.value || come === client) return;
  const last = localStorage.getItem(keptName(session.me.value)) ?? "";
  const only = roomsComplete.value && rooms.value.length === 1 ? rooms.value[0] : undefined;
  const room = roomOf(last) ?? only;
  if (!room && !roomsComplete.value) return;
  come = client;
  if (room && !chosen.peek() && beside.matches) open(room.name);
});

effect(() => {
  const me = session.me.value;
  const room = chosen.value?.room;
  if (room === undefined || !session.inside.value || !isKeptFor(me)) return;
  try {
    localStorage.setItem(keptName(me), room);
  } catch {
    // No more room on this device: the list is shown the next time.
  }
});

function keptName(user: string): string {
  return `tidings.last ${user}`;
}
