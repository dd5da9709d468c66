import {create, fromBinary, toBinary} from "@bufbuild/protobuf";
import {WatchStream} from "./watch-stream.ts";
import {type PresenceItem, PresenceItemSchema, PresenceWatchRequestSchema} from "./gen/tidings/v1/presence_pb.ts";
import {type RoomsItem, RoomsItemSchema, RoomsWatchRequestSchema} from "./gen/tidings/v1/rooms_pb.ts";
import type {Reconnector} from "./reconnector.ts";
import {SnapshotResumePoint} from "./resume-point.ts";
import {Watch} from "./watch.ts";
import {FlowWindow} from "./flow-window.ts";

/**
 * The state of users, or of a room's members: everybody, then `live`, then what changes. With a room also its typing and
 * receipts. A slow reader gets the newest state of each, never a backlog; after a reconnect states may come again.
 */
export function watchPresence(reconnector: Reconnector, about: {users?: string[]; room?: string}): Watch<PresenceItem> {
  const resumePoint = new SnapshotResumePoint<PresenceItem>(undefined);
  const streamRequest = {
    route: "presence.watch",
    subject: about.room ?? about.users?.join(", ") ?? "",
    encodeRequest: () => toBinary(PresenceWatchRequestSchema, create(PresenceWatchRequestSchema, {...about, ...(resumePoint.position && {after: resumePoint.position})})),
    decode: (data: Uint8Array) => fromBinary(PresenceItemSchema, data),
    isEndless: true,
  };
  return new Watch<PresenceItem>(new WatchStream(reconnector, streamRequest, resumePoint, new FlowWindow()), (item) => item);
}

/** My rooms: all of them, then `live`, then what changes. */
export function watchRooms(reconnector: Reconnector): Watch<RoomsItem> {
  const resumePoint = new SnapshotResumePoint<RoomsItem>(undefined);
  const streamRequest = {
    route: "rooms.watch",
    subject: "",
    encodeRequest: () => toBinary(RoomsWatchRequestSchema, create(RoomsWatchRequestSchema, resumePoint.position && {after: resumePoint.position})),
    decode: (data: Uint8Array) => fromBinary(RoomsItemSchema, data),
    isEndless: true,
  };
  return new Watch<RoomsItem>(new WatchStream(reconnector, streamRequest, resumePoint, new FlowWindow()), (item) => item);
}
