import {toBinary, create, fromBinary} from "@bufbuild/protobuf";
import {call} from "./calls.ts";
import type {ClientContext} from "./client-context.ts";
import {Code, ApiError} from "./errors.ts";
import {WatchStream} from "./watch-stream.ts";
import {Chat, Lag, type SendReply, type WatchItem, WatchItemSchema, WatchRequestSchema} from "./gen/tidings/v1/chat_pb.ts";
import {History, type PageReply, ReadRequestSchema, type SearchReply} from "./gen/tidings/v1/history_pb.ts";
import type {Cursor, Event, Role} from "./gen/tidings/v1/log_pb.ts";
import {Presence as PresenceService, type PresenceItem} from "./gen/tidings/v1/presence_pb.ts";
import {type MarkReply, Receipts} from "./gen/tidings/v1/receipts_pb.ts";
import {type MembersReply, type RoomReply, Rooms as RoomsService} from "./gen/tidings/v1/rooms_pb.ts";
import {randomId} from "./random-id.ts";
import {watchPresence} from "./presence.ts";
import {type After, cursorFrom, LogResumePoint} from "./resume-point.ts";
import type {PendingMessage} from "./storage/storage.ts";
import {Watch} from "./watch.ts";
import {FlowWindow} from "./flow-window.ts";

const TYPING_MS = 5_000; // typing is over by then; later it would be a lie

/** A seq as callers have it: events carry bigints. */
export type Seq = number | bigint;

export interface WatchOptions {
  /** A cursor, a seq (0: from the beginning), or nothing: what happens from now on. */
  readonly after?: After;
  /** What becomes of a reader who falls behind. */
  readonly lag?: Lag;
  /** How many items may be here untaken. */
  readonly window?: number;
}

/** One room, by name: `tidings.room("general")`. Holds nothing; make as many as you like. */
export class Room {
  /** @internal */
  constructor(
    private readonly context: ClientContext,
    readonly name: string,
  ) {}

  // --- writing

  /**
   * Write a message. It is pending at once (`tidings.on("pending")`), is sent when there is a connection, also after a
   * reload, and is never doubled. Resolves when it is on the service's disk.
   */
  send(text: string, {replyTo = 0, clientId = randomId()}: {replyTo?: Seq; clientId?: string} = {}): Promise<SendReply> {
    const answer = this.context.outbox.send(this.name, text, Number(replyTo), clientId);
    // Who does not wait for it is told by "failed"; it must not count as an unhandled rejection.
    answer.catch(() => undefined);
    return answer;
  }

  /** This room's messages on their way, in the order they were written. */
  pending(): PendingMessage[] {
    return this.context.outbox.pending(this.name);
  }

  /** Give your message `seq` another text. */
  edit(seq: Seq, text: string, {clientId = randomId()} = {}): Promise<SendReply> {
    return call(this.context.reconnector, Chat.method.edit, {room: this.name, clientId, target: BigInt(seq), text});
  }

  /** Remove the text and reactions of message `seq` for everybody. Its author may, and moderators. */
  delete(seq: Seq, {clientId = randomId()} = {}): Promise<SendReply> {
    return call(this.context.reconnector, Chat.method.delete, {room: this.name, clientId, target: BigInt(seq)});
  }

  /** React to message `seq`, or take the reaction back. */
  react(seq: Seq, emoji: string, {remove = false, clientId = randomId()} = {}): Promise<SendReply> {
    return call(this.context.reconnector, Chat.method.react, {room: this.name, clientId, target: BigInt(seq), emoji, remove});
  }

  /** I am typing; dies by itself after a few seconds. Not worth long attempts: given up after 5 s. */
  async typing({stopped = false} = {}): Promise<void> {
    await call(this.context.reconnector, PresenceService.method.typing, {room: this.name, stopped}, TYPING_MS);
  }

  /** I have read up to `seq`; it never goes back. */
  markRead(seq: Seq): Promise<MarkReply> {
    return this.mark({read: seq});
  }

  /** My positions, as seqs; 0 leaves one as it is. What was read was delivered. */
  mark({read = 0, delivered = 0}: {read?: Seq; delivered?: Seq}): Promise<MarkReply> {
    return call(this.context.reconnector, Receipts.method.mark, {room: this.name, read: BigInt(read), delivered: BigInt(delivered)});
  }

  // --- reading

  /**
   * The room as one wants to see it: its newest `history` (50) events, then each as it happens, in order, each once.
   * After a reload the first ones come from this browser, before the network answers, and then what was missed. A listener
   * that returns a promise sets the pace. What cannot be healed is told by `tidings.on("error")`. Call what is returned
   * to stop.
   */
  on(_event: "event", listener: (event: Event) => unknown, {history = 50}: {history?: number} = {}): () => void {
    let stopped = false;
    let watch: Watch<WatchItem> | undefined;
    const tell = async (event: Event): Promise<void> => {
      if (!stopped) await listener(event);
    };
    const begin = async (): Promise<After> => {
      const kept = await this.context.cache.load(this.name);
      if (kept) {
        for (const event of kept.events) await tell(event);
        return kept.cursor;
      }
      const page = history ? await this.history({limit: history}, Infinity) : await this.history({limit: 1}, Infinity);
      const events = history ? page.events : [];
      await this.context.cache.add(this.name, page.head?.epoch ?? "", events);
      for (const event of events) await tell(event);
      return page.head;
    };
    const run = async (): Promise<void> => {
      watch = this.items({after: await begin()});
      if (stopped) watch.close();
      for await (const {cursor, item} of watch) {
        if (item.case !== "event") continue;
        await this.context.cache.add(this.name, cursor?.epoch ?? "", [item.value]);
        await tell(item.value);
      }
    };
    const failed = async (error: unknown): Promise<void> => {
      if (stopped) return;
      const lost = error instanceof ApiError && error.code === Code.CURSOR_LOST;
      if (!lost) {
        if (this.context.reconnector.state !== "closed") this.context.events.emit("error", error);
        return;
      }
      // The log was replaced: what is kept belongs to another one.
      await this.context.cache.clear(this.name);
      await run().catch(failed);
    };
    void run().catch(failed);
    return () => {
      stopped = true;
      watch?.close();
    };
  }

  /** The room's events behind `after`: those of the past first, then each as it happens. See `Watch`. */
  watch(options: WatchOptions = {}): Watch<Event> {
    return new Watch<Event>(this.watchStream(options), eventOf);
  }

  /** As `watch`, with the marks: `live` once everything old was sent, `gap` for what was skipped or removed. */
  items(options: WatchOptions = {}): Watch<WatchItem> {
    return new Watch<WatchItem>(this.watchStream(options), (item) => item);
  }

  /** The events behind `after` up to `to` (left out: what is the newest now), at your pace; then the loop ends. */
  read({after = 0, to, window}: {after?: After; to?: Seq; window?: number} = {}): Watch<Event> {
    const resumePoint = new LogResumePoint(cursorFrom(after));
    const {name} = this;
    const streamRequest = {
      route: "history.read",
      subject: name,
      encodeRequest: () => toBinary(ReadRequestSchema, create(ReadRequestSchema, {room: name, ...afterOf(resumePoint), to: toBigInt(to)})),
      decode: (data: Uint8Array) => fromBinary(WatchItemSchema, data),
      isEndless: false,
    };
    return new Watch<Event>(new WatchStream(this.context.reconnector, streamRequest, resumePoint, new FlowWindow(window)), eventOf);
  }

  /** A page in seq order: before or after a seq (after 0: from the beginning), or the newest. `limit` is 1 to 1000, 0 means 50. */
  history({before, after, limit = 0}: {before?: Seq; after?: Seq; limit?: number} = {}, ms?: number): Promise<PageReply> {
    return call(this.context.reconnector, History.method.page, {room: this.name, before: toBigInt(before), after: toBigInt(after), limit}, ms);
  }

  /** Messages of this room with all the words of `query`, newest first. */
  search(query: string, {from = "", page = "", limit = 0} = {}): Promise<SearchReply> {
    return call(this.context.reconnector, History.method.search, {query, room: this.name, from, page, limit});
  }

  // --- what this browser keeps

  /** The room's newest events as this browser keeps them, without a hole, and the cursor behind them; undefined: none. */
  cachedEvents(): Promise<{events: Event[]; cursor: Cursor} | undefined> {
    return this.context.cache.load(this.name);
  }

  /** Keep events that follow those kept before. `on` does it by itself; who watches by other means may. */
  cacheEvents(events: readonly Event[], {epoch}: {readonly epoch: string}): Promise<void> {
    return this.context.cache.add(this.name, epoch, events);
  }

  /** Forget what is kept, so that events may be kept that do not follow it. */
  clearCache(): Promise<void> {
    return this.context.cache.clear(this.name);
  }

  // --- people

  /** The room and my role in it. */
  get(): Promise<RoomReply> {
    return call(this.context.reconnector, RoomsService.method.get, {room: this.name});
  }

  /** Join an open room; or, as owner or moderator, bring `user` in or give them another role. */
  join(user = "", role?: Role): Promise<RoomReply> {
    return call(this.context.reconnector, RoomsService.method.join, {room: this.name, user, ...(role && {role})});
  }

  /** Leave; or, as owner or moderator, remove `user`. */
  async leave(user = ""): Promise<void> {
    await call(this.context.reconnector, RoomsService.method.leave, {room: this.name, user});
  }

  /** Hide a DIRECT room from my list until its next message, or (`shown`) take that back. Lists hold it with `hidden`. */
  async hide({shown = false} = {}): Promise<void> {
    await call(this.context.reconnector, RoomsService.method.hide, {room: this.name, shown});
  }

  /** A page of members by name, with how far each has read. */
  members({after = "", limit = 0} = {}): Promise<MembersReply> {
    return call(this.context.reconnector, RoomsService.method.members, {room: this.name, after, limit});
  }

  /** Who of the room is there, who is typing, who has read what. */
  presence(): Watch<PresenceItem> {
    return watchPresence(this.context.reconnector, {room: this.name});
  }

  private watchStream({after, lag = Lag.CATCH_UP, window}: WatchOptions): WatchStream<WatchItem> {
    const resumePoint = new LogResumePoint(cursorFrom(after));
    const {name} = this;
    const streamRequest = {
      route: "chat.watch",
      subject: name,
      encodeRequest: () => toBinary(WatchRequestSchema, create(WatchRequestSchema, {room: name, ...afterOf(resumePoint), lag})),
      decode: (data: Uint8Array) => fromBinary(WatchItemSchema, data),
      isEndless: true,
    };
    return new WatchStream(this.context.reconnector, streamRequest, resumePoint, new FlowWindow(window));
  }
}

/** A seq as the contract has it; undefined is an absent field, 0 is not. */
function toBigInt(seq: Seq | undefined): bigint | undefined {
  return seq === undefined ? undefined : BigInt(seq);
}

function afterOf({position}: LogResumePoint) {
  return position ? {after: position} : {};
}

function eventOf({item}: WatchItem): Event | undefined {
  return item.case === "event" ? item.value : undefined;
}
