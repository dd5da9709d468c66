/** The first letter of a name, on a colour derived from the name. */
import {RoomKind} from "@tidings/client";
import type {RoomView} from "../rooms/rooms.ts";
import {PresenceDot} from "./presence.tsx";
import {Icon} from "./icon.tsx";

const TINTS = 8;
const graphemes = new Intl.Segmenter();

export function Avatar({user, size = "", dot = false}: {user: string; size?: "" | "small" | "large"; dot?: boolean}) {
  return (
    <span class={`avatar ${size} tint-${tintOf(user)}`}>
      <span aria-hidden="true">{initial(user)}</span>
      {dot && <PresenceDot user={user} />}
    </span>
  );
}

/** The avatar of a room: the other user of a direct room, an icon for other kinds. */
export function RoomAvatar({room, size = ""}: {room: Pick<RoomView, "name" | "kind" | "peer">; size?: "" | "small" | "large"}) {
  if (room.peer !== undefined) return <Avatar user={room.peer} size={size} dot />;
  return (
    <span class={`avatar room ${size} tint-${tintOf(room.name)}`}>
      <Icon name={room.kind === RoomKind.OPEN ? "hash" : room.kind === RoomKind.DIRECT ? "person" : "people"} />
    </span>
  );
}

function initial(name: string): string {
  for (const {segment} of graphemes.segment(name)) return segment.toLocaleUpperCase();
  return "?";
}

/** 0 to 7, from a hash of the name (FNV-1a). */
function tintOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const char of name) hash = Math.imul(hash ^ char.codePointAt(0)!, 0x01000193);
  return (hash >>> 8) % TINTS;
}
