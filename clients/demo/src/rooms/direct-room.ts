/** Direct rooms. */
import {RoomKind} from "@tidings/client";
import {session} from "../session/session.ts";

/** The name of my direct room with this user, which is created if it does not exist. Raises ApiError if refused. */
export async function openDirectRoom(user: string): Promise<string> {
  const {room} = await session.tidings.peek()!.rooms.create("", {kind: RoomKind.DIRECT, members: [user]});
  return room!.room;
}
