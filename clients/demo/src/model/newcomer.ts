/**
 * In development there is an open room, `general`. Somebody who has not been on this device, or has signed out since, comes
 * into it at once: a name is all it takes to be in a conversation.
 */
import {effect} from "@preact/signals";
import type {Tidings} from "@tidings/client";
import {chosen, open} from "../route.ts";
import {session} from "../session.ts";
import {rooms, roomsComplete} from "./rooms.ts";

const ROOM = "general";

effect(() => {
  const client = session.tidings.value;
  const user = session.me.value;
  if (!session.dev || !client || !user || !roomsComplete.value) return;
  const welcomed = `tidings.welcomed ${user}`;
  if (localStorage.getItem(welcomed) !== null) return;
  localStorage.setItem(welcomed, "");
  if (rooms.peek().length === 0) void welcome(client);
});

async function welcome(client: Tidings): Promise<void> {
  try {
    await client.room(ROOM).join();
    if (!chosen.peek() && session.tidings.peek() === client) open(ROOM);
  } catch {
    // There is no such room, or it is not open: there is the list of open rooms.
  }
}
