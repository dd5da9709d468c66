/**
 * The browser client of Tidings.
 *
 *     import {connect} from "@tidings/client";
 *
 *     const tidings = connect({url: "wss://chat.example/rsocket", token: freshToken, account: "ada"});
 *     tidings.on("state", (state) => console.log(state));
 *     const room = tidings.room("general");
 *     room.on("event", (event) => event.what.case === "posted" && show(event.actor, event.what.value.text));
 *     room.send("hi");
 *
 * A room has a log of *events*, an event has a number (`seq`) in its room, and a *cursor* is a position in a log. Texts
 * are texts: put them on a page with `textContent`, never as HTML. Seqs and times are bigints, as events carry them; where
 * you hand one in, a number is taken as well.
 */
export {connect, type Options, Rooms, Session, Tidings} from "./client.ts";
export {Code, Failure} from "./errors.ts";
export type {Happenings} from "./core.ts";
export {drop, inspect, type Inspection, type StreamInspection} from "./inspect.ts";
export type {State} from "./keeper.ts";
export type {Token} from "./identity.ts";
export type {Locks} from "./locks.ts";
export type {Network} from "./network.ts";
export type {Jitter} from "./reconnect.ts";
export {Room, type Seq, type WatchOptions} from "./room.ts";
export type {After} from "./seams.ts";
export {Watch} from "./watch.ts";
export type {Connection, Connector, Receiver, Setup, Sharing, Traffic, Wire, WireStream} from "./wire.ts";
export {direct} from "./rsocket.ts";
export {openStorage} from "./storage/indexeddb.ts";
export {MemoryStorage} from "./storage/memory.ts";
export type {KeptEvent, Pending, Storage} from "./storage/storage.ts";
export {Lag, type SendReply, type WatchItem} from "./gen/tidings/v1/chat_pb.ts";
export type {PageReply, SearchReply} from "./gen/tidings/v1/history_pb.ts";
export {type Cursor, type Event, Role, RoomKind} from "./gen/tidings/v1/log_pb.ts";
export {type PresenceItem, Status} from "./gen/tidings/v1/presence_pb.ts";
export type {ListReply, MembersReply, RoomReply, RoomsItem, RoomState} from "./gen/tidings/v1/rooms_pb.ts";
export type {InfoReply} from "./gen/tidings/v1/session_pb.ts";
