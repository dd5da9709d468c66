/**
 * One room as the page shows it.
 *
 * It joins three parts. The `TimelineWindow` holds the part of the log that is shown; `EventReader` fills it with cached
 * events, the newest page and live events, and `PageLoader` with older and newer pages. `OutgoingList` holds what I wrote
 * and the log does not have yet.
 *
 * Events change the timeline at once and the page once per frame, so a thousand events that arrive together are painted
 * together. While thousands are caught up with, the page is drawn five times a second; more would take time from reading.
 * Call `stop` when the room is closed.
 */
import {batch, computed, signal} from "@preact/signals";
import type {ApiError, Event, Room, RoomReply, TidingsClient} from "@tidings/client";
import {Role} from "@tidings/client";
import {EventReader, type EventPage} from "./event-reader.ts";
import {MessageActions} from "./message-actions.ts";
import type {Entry, Message} from "./message.ts";
import {type OutgoingMessage, OutgoingList} from "./outgoing.ts";
import {ENTRIES_MAX, PageLoader} from "./page-loader.ts";
import {QuotedMessages} from "./quoted-messages.ts";
import {RoomActivity} from "./room-activity.ts";
import {buildRows} from "./rows.ts";
import {storedValue} from "./stored-value.ts";
import {TimelineWindow} from "./timeline-window.ts";
import type {ViewAdapter} from "./view-adapter.ts";

const PENDING_EVENTS_MAX = 500; // events that wait for a frame
const CATCHING_UP_EVENTS = 40; // this many events in one frame are catching up, not a conversation
const CATCHING_UP_DRAW_MS = 200;

export class ConversationModel {
  readonly entries = signal<readonly Entry[]>([]);
  /** There is nothing before the first entry. */
  readonly isAtBeginning = signal(false);
  /** All missed events have arrived; from here on events are live. */
  readonly isLive = signal(false);
  /** The last entry is the newest one. */
  readonly isAtEnd = signal(true);
  /** Everything from this seq on is on the page. */
  readonly from = signal(1);
  /** The cache or the service has replied once. */
  readonly isLoaded = signal(false);
  /** Why the room cannot be read: no such room, or not permitted. */
  readonly failure = signal<ApiError | undefined>(undefined);
  /** The "new" divider stands before the first message of others from this seq on; 0: no divider. */
  readonly unreadFrom = signal(0);
  /** Messages of others that arrived while I was scrolled up. */
  readonly newCount = signal(0);
  readonly role = signal<Role | undefined>(undefined);
  /** The newest message of another user, for screen readers. */
  readonly announced = signal<Message | undefined>(undefined);
  /** The bottom is in sight and stays there. Set by the timeline. */
  isFollowing = true;
  readonly pages: PageLoader;
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
  private readonly timeline = new TimelineWindow();
  private readonly reader: EventReader;
  private isStopped = false;
  /** Missed events up to this seq carry the changes made to them up to it. */
  private asOf = 0;
  private isDrawScheduled = false;
  /** Taken from the watch, and not in the timeline yet. */
  private pendingEvents: Event[] = [];
  /** How many events were applied since the last frame. */
  private appliedSinceDraw = 0;
  /** The live ones among them, which were not painted yet. */
  private newEvents: Event[] = [];
  private isCatchingUp = false;
  private seenSeq = 0;

  constructor(
    tidings: TidingsClient,
    readonly room: string,
    readonly view: ViewAdapter,
    private jumpTarget?: number,
  ) {
    this.roomClient = tidings.room(room);
    this.actions = new MessageActions(this.roomClient, view.me, (seq) => this.timeline.message(seq), (seq, change) => this.updateMessage(seq, change));
    const isKnown = (seq: number): boolean => seq <= this.timeline.head && !this.pendingEvents.length;
    this.outgoing = new OutgoingList(tidings, room, storedValue<OutgoingMessage[]>("failed", view.me, room), isKnown);
    this.quotedMessages = new QuotedMessages(this.roomClient);
    this.activity = new RoomActivity(tidings, room, view.me);
    this.pages = new PageLoader(this.roomClient, this.timeline, {
      draw: () => this.draw(),
      showError: (error) => this.actions.showError(error),
      isClosed: () => this.isStopped || this.failure.peek() !== undefined,
    });
    this.reader = new EventReader(this.roomClient, () => view.nextTurn(), {
      onPage: (page) => this.onPage(page),
      onLoaded: (asOf) => this.onLoaded(asOf),
      onEvent: (event) => this.onEvent(event),
      onGap: (from, to) => this.onGap(from, to),
      onLive: () => this.onLive(),
      onReset: () => this.onReset(),
      onFailure: (failure) => (this.failure.value = failure),
    });
    this.setUnreadFrom(view.readSeq);
    // Not known to this page: it arrives with the positions of all members.
    if (view.readSeq === undefined) void this.activity.loaded.then(() => this.setUnreadFrom(this.activity.ownPosition.peek()?.read));
    void this.reader.run();
    void this.fetchRole();
  }

  stop(): void {
    this.isStopped = true;
    this.reader.stop();
    this.activity.stop();
    this.outgoing.stop();
  }

  /** Read the room again after a failure. */
  retry(): void {
    this.failure.value = undefined;
    this.jumpTarget = undefined;
    this.pages.cancel();
    void this.reader.run();
  }

  /** Scroll to this message. */
  jumpTo(seq: number): void {
    this.isFollowing = false;
    this.pages.jumpTo(seq);
  }

  /** Scroll to the newest message and stay there. */
  jumpToNewest(): void {
    this.newCount.value = 0;
    this.isFollowing = true;
    this.pages.jumpToNewest();
  }

  send(text: string, replyTo: number): void {
    this.unreadFrom.value = 0;
    this.outgoing.send(text, replyTo);
    this.jumpToNewest();
  }

  /** Everything on the page up to `to` was in sight while the page was watched. */
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

  private setUnreadFrom(read: number | undefined): void {
    if (read !== undefined && !this.isStopped) this.unreadFrom.value = read + 1;
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

  // --- what the reader reports

  private onPage({events, asOf, isAtBeginning}: EventPage): void {
    this.timeline.replace(events, {asOf, beginning: isAtBeginning, to: asOf});
    this.draw();
  }

  private onLoaded(asOf: number): void {
    this.asOf = asOf;
    if (this.jumpTarget) this.jumpTo(this.jumpTarget);
    this.draw();
  }

  private onEvent(event: Event): void {
    this.pendingEvents.push(event);
    // In a background tab frames may be a minute apart.
    if (this.pendingEvents.length >= PENDING_EVENTS_MAX) batch(() => this.apply());
    this.drawSoon();
  }

  private onGap(from: number, to: number): void {
    this.draw();
    this.timeline.addGap(from, to);
    this.drawSoon();
  }

  private onLive(): void {
    this.draw();
    this.isLive.value = true;
    this.drawSoon();
  }

  private onReset(): void {
    this.jumpTarget = undefined;
    this.pages.cancel();
    this.pendingEvents = [];
    this.timeline.reset();
  }

  // --- applying and drawing

  /** Put the pending events into the timeline. */
  private apply(): void {
    const events = this.pendingEvents;
    if (!events.length) return;
    this.pendingEvents = [];
    this.appliedSinceDraw += events.length;
    this.reader.cacheEvents(events);
    const before = this.timeline.to;
    // While the user is scrolled up nothing is dropped above them; newer events load when they scroll down.
    this.timeline.applyEvents(events, this.asOf, this.isFollowing ? Infinity : 2 * ENTRIES_MAX);
    if (this.isFollowing) this.timeline.dropOldest(ENTRIES_MAX);
    for (const event of events) this.onApplied(event);
    if (!this.isLive.peek()) return;
    const added = events.filter(({seq}) => Number(seq) > before && Number(seq) <= this.timeline.to);
    this.newEvents = [...this.newEvents, ...added].slice(-PENDING_EVENTS_MAX);
  }

  private onApplied({what, actor, seq, clientId}: Event): void {
    if (what.case === "posted") {
      this.activity.onWrote(actor);
      if (actor === this.view.me) {
        if (clientId) this.outgoing.discard(clientId);
        return;
      }
      if (!this.isLive.peek()) return;
      // What arrives while the page is not watched is new when the user comes back.
      if (!this.view.isWatched() && this.unreadFrom.peek() <= this.seenSeq) this.unreadFrom.value = Number(seq);
      if (!this.isFollowing) this.newCount.value += 1;
      this.announced.value = this.timeline.message(Number(seq)) ?? this.announced.peek();
    } else if (what.case === "member" && what.value.user === this.view.me) {
      this.role.value = what.value.left ? Role.ROLE_UNSPECIFIED : what.value.role;
    } else if (what.case !== undefined && what.case !== "member" && what.case !== "changed") {
      this.quotedMessages.reload(Number(what.value.target));
    }
  }

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
}
