/**
 * In development there is an open room, `general`. Somebody who has not been on this device, or has signed out since, comes
 * into it at once: a name is all it takes to be in a conversation.
 */
import {effect} from "@preact/signals";
import type {TidingsClient} from "@tidings/client";
import {currentRoute, openRoom} from "../navigation/route.ts";
import {session} from "../session/session.ts";
import {rooms, roomsComplete} from "./rooms.ts";

const ROOM = "general";

effect(() => {
  const client = session.tidings.value;
  const user = session.me.value;
  if (!session.isDev || !client || !user || !roomsComplete.value) return;
  const welcomed = `tidings.welcomed ${user}`;
  if (localStorage.getItem(welcomed) !== null) return;
  localStorage.setItem(welcomed, "");
  if (rooms.peek().length === 0) void joinDefaultRoom(client);
});

async function joinDefaultRoom(client: TidingsClient): Promise<void> {
  try {
    await client.room(ROOM).join();
    if (!currentRoute.peek() && session.tidings.peek() === client) openRoom(ROOM);
  } catch {
    // There is no such room, or it is not open: there is the list of open rooms.
  }
}
