/**
 * A conversation: one room as it is on the page.
 *
 * Three things come together here. The *timeline* is the piece of the log that is shown. What this browser kept of the room
 * is shown at once, then either what was missed since, or, if that is much, the newest page. The *watch* brings what
 * happens, in the order of the log, one event at a time and not before `pace` gives a turn: who does not read asks for
 * nothing. And the outgoing list holds what I wrote and the log does not have yet.
 *
 * Events change the timeline at once and the page once a frame: a thousand events that came together are painted together.
 * While thousands are caught up with, five frames a second are enough; drawing more would take the time from reading.
 * Whoever takes the room away calls `stop`.
 */
import {batch, computed, signal} from "@preact/signals";
import type {Cursor, Event, Room, RoomReply, TidingsClient, Watch, WatchItem} from "@tidings/client";
import {Code, ApiError, Role} from "@tidings/client";
import {MessageActions} from "./message-actions.ts";
import type {Entry, Message} from "./message.ts";
import {storedValue} from "./stored-value.ts";
import {type OutgoingMessage, OutgoingList} from "./outgoing.ts";
import {RoomActivity} from "./room-activity.ts";
import {QuotedMessages} from "./quoted-messages.ts";
import {buildRows} from "./rows.ts";
import {TimelineWindow} from "./timeline-window.ts";

const PAGE_EVENTS = 50;
const OLDER_EVENTS = 100;
const CATCH_UP_EVENTS_MAX = 500; // missed while away; more, and the newest page is sooner there than the oldest missed
const ENTRIES_MAX = 600; // some twenty screens; what is further away is read again, within a frame or two
const PENDING_EVENTS_MAX = 500; // events that wait for a frame
const CATCHING_UP_EVENTS = 40; // so many at once are no conversation: they are caught up with
const CATCHING_UP_DRAW_MS = 200;

/** What the page gives: when it reads, when it paints, and who wants to know. */
export interface ViewAdapter {
  readonly me: string;
  /** Up to where I had read when I came; undefined: not known, or not kept for me. */
  readonly readSeq: number | undefined;
  /** Between two. May be known later: it is asked for in a computed signal. */
  isDirect(): boolean;
  nextTurn(): Promise<void> | void;
  /** Somebody is looking at the page. */
  isWatched(): boolean;
  /** Call it once, when the next frame is made, or soon if there will be none. */
  onNextFrame(then: () => void): void;
  /** These live events were put on the page just now. */
  onPainted(events: readonly Event[]): void;
}

/** Where to scroll: once, when it is on the page. */
export interface ScrollTarget {
  readonly seq: number;
}

export class ConversationModel {
  readonly entries = signal<readonly Entry[]>([]);
  /** Nothing is before the first entry. */
  readonly isAtBeginning = signal(false);
  /** What was missed is here; what comes now is happening now. */
  readonly isLive = signal(false);
  /** The last entry is the newest. */
  readonly isAtEnd = signal(true);
  /** Everything from this seq on is on the page. */
  readonly from = signal(1);
  /** The first answer of the service has been here, or of the cache. */
  readonly isLoaded = signal(false);
  readonly loadingPart = signal<"older" | "newer" | "around" | undefined>(undefined);
  /** Loading failed; it is tried again on request. */
  readonly hasLoadError = signal(false);
  /** Why there is no conversation: not mine, no such room. */
  readonly failure = signal<ApiError | undefined>(undefined);
  /** The divider is before the first message of others from here on; 0: none. */
  readonly unreadFrom = signal(0);
  /** Messages of others that came while I was looking elsewhere in the room. */
  readonly newCount = signal(0);
  readonly scrollTarget = signal<ScrollTarget | undefined>(undefined);
  readonly role = signal<Role | undefined>(undefined);
  /** The newest message of somebody else, for those who hear the page. */
  readonly announced = signal<Message | undefined>(undefined);
  /** The bottom is in sight and stays there. Kept by the timeline. */
  isFollowing = true;
  readonly activity: RoomActivity;
  readonly outgoing: OutgoingList;
  readonly quotedMessages: QuotedMessages;
  readonly actions: MessageActions;
  readonly rows = computed(() =>
    buildRows({
      entries: this.entries.value,
      outgoing: this.isAtEnd.value ? this.outgoing.list.value : this.outgoing.list.value.filter(({state}) => state === "failed"),
      me: this.view.me,
      direct: this.view.isDirect(),
      unreadFrom: this.unreadFrom.value,
      from: this.from.value,
    }),
  );
  private readonly roomClient: Room;
  private timeline = new TimelineWindow();
  private watch: Watch<WatchItem> | undefined;
  private isStopped = false;
  /** What is missed until here carries what had become of it by then. */
  private asOf = 0;
  private isDrawScheduled = false;
  /** Taken from the watch, and not in the timeline yet. */
  private pendingEvents: Event[] = [];
  /** How many were put into the timeline since the last frame, and the live ones among them that were not painted. */
  private appliedSinceDraw = 0;
  private newEvents: Event[] = [];
  private isCatchingUp = false;
  private epoch = "";
  private lastCacheWrite: Promise<unknown> = Promise.resolve();
  /** Where the page is now: answers to what was asked at another place come too late. */
  private position = 0;
  private seenSeq = 0;

  constructor(
    tidings: TidingsClient,
    readonly room: string,
    readonly view: ViewAdapter,
    jumpTo?: number,
  ) {
    this.roomClient = tidings.room(room);
    this.actions = new MessageActions(this.roomClient, view.me, (seq) => this.timeline.message(seq), (seq, change) => this.updateMessage(seq, change));
    const seen = (seq: number): boolean => seq <= this.timeline.head && !this.pendingEvents.length;
    this.outgoing = new OutgoingList(tidings, room, storedValue<OutgoingMessage[]>("failed", view.me, room), seen);
    this.quotedMessages = new QuotedMessages(this.roomClient);
    this.activity = new RoomActivity(tidings, room, view.me);
    this.setUnreadFrom(view.readSeq);
    // Not known on this page yet: the service tells, with everybody's marks.
    if (view.readSeq === undefined) void this.activity.loaded.then(() => this.setUnreadFrom(this.activity.ownPosition.peek()?.read));
    void this.run(jumpTo);
    void this.fetchRole();
  }

  stop(): void {
    this.isStopped = true;
    this.watch?.close();
    this.activity.stop();
    this.outgoing.stop();
  }

  /** Try once more, after a failure. */
  retry(): void {
    this.failure.value = undefined;
    void this.run(undefined);
  }

  private setUnreadFrom(read: number | undefined): void {
    if (read !== undefined && !this.isStopped) this.unreadFrom.value = read + 1;
  }

  /** Everything on the page up to `to` was in sight of somebody. */
  markSeen(to: number): void {
    this.seenSeq = Math.max(this.seenSeq, to);
  }

  /** The newest seq that is on the page. */
  get to(): number {
    return this.timeline.to;
  }

  message(seq: number): Message | undefined {
    return this.timeline.message(seq);
  }

  // --- what happens

  private async run(jumpTo: number | undefined): Promise<void> {
    let goal = jumpTo;
    while (!this.isStopped) {
      try {
        await this.load(goal);
        return;
      } catch (error) {
        if (this.isStopped) return;
        const failure = error instanceof ApiError ? error : new ApiError(Code.INTERNAL, String(error));
        if (failure.code !== Code.CURSOR_LOST) {
          this.failure.value = failure;
          return;
        }
        // The log was replaced, or what was missed is gone: what is kept does not go on.
        await this.roomClient.clearCache();
        this.timeline = new TimelineWindow();
        goal = undefined;
      }
    }
  }

  private async load(jumpTo: number | undefined): Promise<void> {
    const {roomClient: room} = this;
    const kept = await room.cachedEvents();
    if (kept && !this.isStopped) {
      this.timeline.replace(kept.events, {beginning: kept.events[0]?.seq === 1n});
      this.draw();
    }
    // Without a network this waits for it, for as long as it takes.
    const page = await room.history({limit: PAGE_EVENTS}, Infinity);
    if (this.isStopped) return;
    const head = page.head!;
    this.epoch = head.epoch;
    const asOf = Number(head.seq);
    let after: Cursor = head;
    if (kept && kept.cursor.epoch === head.epoch && kept.cursor.seq <= head.seq && head.seq - kept.cursor.seq <= CATCH_UP_EVENTS_MAX) {
      after = kept.cursor;
    } else {
      if (kept) await room.clearCache();
      this.cacheEvents(page.events);
      this.timeline.replace(page.events, {asOf, beginning: !page.more, to: asOf});
    }
    if (jumpTo) this.jumpTo(jumpTo);
    this.draw();
    this.asOf = asOf;
    await this.follow(after);
  }

  private async follow(after: Cursor): Promise<void> {
    const watch = this.roomClient.items({after});
    this.watch = watch;
    for (;;) {
      // What is taken counts as read, so nothing is taken before its turn; nothing more is asked for meanwhile.
      if (await watch.waitForItem()) await this.view.nextTurn();
      if (this.isStopped) return;
      const {done, value} = await watch.next();
      if (done || this.isStopped) return;
      const {item, cursor} = value;
      if (cursor?.epoch) this.epoch = cursor.epoch;
      if (item.case === "event") {
        this.pendingEvents.push(item.value);
        // Frames of a tab in the background may be a minute apart.
        if (this.pendingEvents.length >= PENDING_EVENTS_MAX) batch(() => this.apply());
      } else if (item.case === "gap") {
        this.draw();
        this.timeline.addGap(Number(item.value.from), Number(item.value.to));
      } else if (item.case === "live") {
        this.draw();
        this.isLive.value = true;
      }
      this.drawSoon();
    }
  }

  /** Put what was taken into the timeline. */
  private apply(): void {
    const events = this.pendingEvents;
    if (!events.length) return;
    this.pendingEvents = [];
    this.appliedSinceDraw += events.length;
    this.cacheEvents(events);
    const before = this.timeline.to;
    // Who reads further up keeps what is there; what comes is read when they come down.
    this.timeline.applyEvents(events, this.asOf, this.isFollowing ? Infinity : 2 * ENTRIES_MAX);
    if (this.isFollowing) this.timeline.dropOldest(ENTRIES_MAX);
    for (const event of events) this.onEvent(event);
    if (!this.isLive.peek()) return;
    const fresh = events.filter(({seq}) => Number(seq) > before && Number(seq) <= this.timeline.to);
    this.newEvents = [...this.newEvents, ...fresh].slice(-PENDING_EVENTS_MAX);
  }

  private onEvent({what, actor, seq, clientId}: Event): void {
    if (what.case === "posted") {
      this.activity.onWrote(actor);
      if (actor === this.view.me) {
        if (clientId) this.outgoing.discard(clientId);
        return;
      }
      // What comes while nobody looks is new to whoever looks next.
      if (!this.isLive.peek()) return;
      if (!this.view.isWatched() && this.unreadFrom.peek() <= this.seenSeq) this.unreadFrom.value = Number(seq);
      if (!this.isFollowing) this.newCount.value += 1;
      this.announced.value = this.timeline.message(Number(seq)) ?? this.announced.peek();
    } else if (what.case === "member" && what.value.user === this.view.me) {
      this.role.value = what.value.left ? Role.ROLE_UNSPECIFIED : what.value.role;
    } else if (what.case !== undefined && what.case !== "member" && what.case !== "changed") {
      this.quotedMessages.reload(Number(what.value.target));
    }
  }

  private cacheEvents(events: readonly Event[]): void {
    const {epoch} = this;
    this.lastCacheWrite = this.lastCacheWrite.then(() => this.roomClient.cacheEvents(events, {epoch}));
  }

  // --- drawing

  private drawSoon(): void {
    if (this.isDrawScheduled) return;
    this.isDrawScheduled = true;
    const draw = (): void => {
      this.isDrawScheduled = false;
      if (this.isStopped) return;
      this.draw();
      this.isCatchingUp = this.appliedSinceDraw >= CATCHING_UP_EVENTS;
      this.appliedSinceDraw = 0;
    };
    if (this.isCatchingUp) setTimeout(() => this.view.onNextFrame(draw), CATCHING_UP_DRAW_MS);
    else this.view.onNextFrame(draw);
  }

  private draw(): void {
    batch(() => {
      this.apply();
      this.outgoing.removeArrived(this.timeline.entries, this.view.me);
      this.entries.value = this.timeline.entries;
      this.isAtBeginning.value = this.timeline.isAtBeginning;
      this.from.value = this.timeline.isAtBeginning ? 0 : this.timeline.from;
      this.isAtEnd.value = this.timeline.isAtEnd;
      this.isLoaded.value = true;
      if (this.newEvents.length) this.view.onPainted(this.newEvents);
      this.newEvents = [];
    });
  }

  // --- moving

  /** Read the page before what is here. */
  loadOlder(): Promise<void> {
    if (this.timeline.isAtBeginning) return Promise.resolve();
    return this.loadPage("older", async (here) => {
      const page = await this.roomClient.history({before: this.timeline.from, limit: OLDER_EVENTS});
      if (!here()) return;
      this.timeline.prepend(page);
      this.timeline.dropNewest(ENTRIES_MAX);
    });
  }

  /** Read the page behind what is here. */
  loadNewer(): Promise<void> {
    if (this.timeline.isAtEnd) return Promise.resolve();
    return this.loadPage("newer", async (here) => {
      const page = await this.roomClient.history({after: this.timeline.to, limit: OLDER_EVENTS});
      if (!here()) return;
      this.timeline.append(page);
      this.timeline.dropOldest(ENTRIES_MAX);
    });
  }

  /** Go to this message, reading what is around it if need be. */
  jumpTo(seq: number): void {
    this.isFollowing = false;
    if (seq >= this.timeline.from && seq <= this.timeline.to) {
      this.scrollTarget.value = {seq};
      return;
    }
    this.position += 1;
    this.loadingPart.value = undefined;
    void this.loadPage("around", async (here) => {
      const {roomClient: room} = this;
      const half = PAGE_EVENTS / 2;
      const [before, after] = await Promise.all([room.history({before: seq + 1, limit: half}), room.history({after: seq, limit: half})]);
      if (!here()) return;
      const asOf = Math.min(Number(before.head?.seq ?? 0), Number(after.head?.seq ?? 0));
      const events = [...before.events, ...after.events];
      this.timeline.replace(events, {asOf, beginning: !before.more, to: after.more ? 0 : asOf});
      return {seq};
    });
  }

  /** Go to the newest message. */
  jumpToNewest(): void {
    this.newCount.value = 0;
    this.isFollowing = true;
    if (this.timeline.isAtEnd) {
      this.scrollTarget.value = {seq: Infinity};
      return;
    }
    this.position += 1;
    this.loadingPart.value = undefined;
    void this.loadPage("around", async (here) => {
      const page = await this.roomClient.history({limit: PAGE_EVENTS});
      if (!here()) return;
      const asOf = Number(page.head?.seq ?? 0);
      this.timeline.replace(page.events, {asOf, beginning: !page.more, to: asOf});
      return {seq: Infinity};
    });
  }

  private async loadPage(what: "older" | "newer" | "around", read: (here: () => boolean) => Promise<ScrollTarget | void>): Promise<void> {
    if (this.loadingPart.peek() || this.failure.peek()) return;
    const {position: place} = this;
    const here = (): boolean => place === this.position && !this.isStopped;
    this.loadingPart.value = what;
    this.hasLoadError.value = false;
    let goal: ScrollTarget | void;
    try {
      goal = await read(here);
    } catch (error) {
      if (here()) this.hasLoadError.value = true;
      if (what === "around") this.actions.showError(error);
    }
    if (!here()) return;
    batch(() => {
      this.loadingPart.value = undefined;
      this.draw();
      // Together with the rows it is among.
      if (goal) this.scrollTarget.value = goal;
    });
  }

  // --- doing

  send(text: string, replyTo: number): void {
    this.unreadFrom.value = 0;
    this.outgoing.send(text, replyTo);
    this.jumpToNewest();
  }

  private updateMessage(seq: number, change: (message: Message) => Message): void {
    if (this.isStopped) return;
    this.timeline.updateMessage(seq, change);
    this.draw();
  }

  private async fetchRole(): Promise<void> {
    const reply: RoomReply | undefined = await this.roomClient.get().catch(() => undefined);
    if (reply && !this.isStopped && this.role.peek() === undefined) this.role.value = reply.role;
  }
}
