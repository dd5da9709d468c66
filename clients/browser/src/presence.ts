import {create, fromBinary, toBinary} from "@bufbuild/protobuf";
import {Feed} from "./feed.ts";
import {type PresenceItem, PresenceItemSchema, PresenceWatchRequestSchema} from "./gen/tidings/v1/presence_pb.ts";
import {type RoomsItem, RoomsItemSchema, RoomsWatchRequestSchema} from "./gen/tidings/v1/rooms_pb.ts";
import type {Keeper} from "./keeper.ts";
import {BoardSeam} from "./seams.ts";
import {Watch} from "./watch.ts";
import {Window} from "./window.ts";

/**
 * The state of users, or of a room's members: everybody, then `live`, then what changes. With a room also its typing and
 * receipts. A slow reader gets the newest state of each, never a backlog; after a reconnect states may come again.
 */
export function watchPresence(keeper: Keeper, about: {users?: string[]; room?: string}): Watch<PresenceItem> {
  const seam = new BoardSeam<PresenceItem>(undefined);
  const asked = {
    route: "presence.watch",
    about: about.room ?? about.users?.join(", ") ?? "",
    request: () => toBinary(PresenceWatchRequestSchema, create(PresenceWatchRequestSchema, {...about, ...(seam.position && {after: seam.position})})),
    decode: (data: Uint8Array) => fromBinary(PresenceItemSchema, data),
    endless: true,
  };
  return new Watch<PresenceItem>(new Feed(keeper, asked, seam, new Window()), (item) => item);
}

/** My rooms: all of them, then `live`, then what changes. */
export function watchRooms(keeper: Keeper): Watch<RoomsItem> {
  const seam = new BoardSeam<RoomsItem>(undefined);
  const asked = {
    route: "rooms.watch",
    about: "",
    request: () => toBinary(RoomsWatchRequestSchema, create(RoomsWatchRequestSchema, seam.position && {after: seam.position})),
    decode: (data: Uint8Array) => fromBinary(RoomsItemSchema, data),
    endless: true,
  };
  return new Watch<RoomsItem>(new Feed(keeper, asked, seam, new Window()), (item) => item);
}
