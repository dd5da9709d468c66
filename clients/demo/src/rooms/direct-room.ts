/** The conversation of two. */
import {RoomKind} from "@tidings/client";
import {session} from "../session/session.ts";

/** The name of my direct room with this user, made if there was none. Throws what the service says against it. */
export async function openDirectRoom(user: string): Promise<string> {
  const {room} = await session.tidings.peek()!.rooms.create("", {kind: RoomKind.DIRECT, members: [user]});
  return room!.room;
}
