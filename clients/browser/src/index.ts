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
 * are texts: put them on a page with `textContent`, never. Seqs and times are bigints, as events carry them; where
 * you hand one in, a number is taken.
 */
export {connect, type ConnectOptions, Rooms, Session, TidingsClient} from "./client.ts";
export {Code, ApiError} from "./errors.ts";
export type {ClientEvents} from "./client-context.ts";
export {simulateOffline, inspect, type Inspection, type StreamInspection} from "./inspect.ts";
export type {ClientState} from "./reconnector.ts";
export type {TokenSource} from "./credentials.ts";
export type {LockManagerLike} from "./locks.ts";
export type {NetworkStatus} from "./network.ts";
export type {BackoffPolicy} from "./backoff.ts";
export {Room, type Seq, type WatchOptions} from "./room.ts";
export type {After} from "./resume-point.ts";
export {Watch} from "./watch.ts";
export type {ConnectionStats, Connector, StreamObserver, Setup, SharingMode, TrafficCounters, Connection, RequestHandle} from "./connection.ts";
export {directConnector} from "./rsocket-connection.ts";
export {openStorage} from "./storage/indexeddb.ts";
export {MemoryStorage} from "./storage/memory.ts";
export type {CachedEvent, PendingMessage, Storage} from "./storage/storage.ts";
export {Lag, type SendReply, type WatchItem} from "./gen/tidings/v1/chat_pb.ts";
export type {PageReply, SearchReply} from "./gen/tidings/v1/history_pb.ts";
export {type Cursor, type Event, Role, RoomKind} from "./gen/tidings/v1/log_pb.ts";
export {type PresenceItem, Status} from "./gen/tidings/v1/presence_pb.ts";
export type {ListReply, MembersReply, RoomReply, RoomsItem, RoomState} from "./gen/tidings/v1/rooms_pb.ts";
export type {InfoReply} from "./gen/tidings/v1/session_pb.ts";
