/**
 * In development mode a user joins the open room `general` at the first visit on this device, or the first after signing
 * out, unless they are in a room already. So a name is enough to be in a conversation.
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
  const visitKey = `tidings.welcomed ${user}`;
  if (localStorage.getItem(visitKey) !== null) return;
  localStorage.setItem(visitKey, "");
  if (rooms.peek().length === 0) void joinDefaultRoom(client);
});

async function joinDefaultRoom(client: TidingsClient): Promise<void> {
  try {
    await client.room(ROOM).join();
    if (!currentRoute.peek() && session.tidings.peek() === client) openRoom(ROOM);
  } catch {
    // No such room, or it is not open: the page shows the list of open rooms.
  }
}
