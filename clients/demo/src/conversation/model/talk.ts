/**
 * A conversation: one room as it is on the page.
 *
 * Three things come together here. The *stretch* is the piece of the log that is shown. What this browser kept of the room
 * is shown at once, then either what was missed since, or, if that is much, the newest page. The *watch* brings what
 * happens, in the order of the log, one event at a time and not before `pace` gives a turn: who does not read asks for
 * nothing. And the outgoing list holds what I wrote and the log does not have yet.
 *
 * Events change the stretch at once and the page once a frame: a thousand events that came together are painted together.
 * While thousands are caught up with, five frames a second are enough; drawing more would take the time from reading.
 * Whoever takes the room away calls `stop`.
 */
import {batch, computed, signal} from "@preact/signals";
import type {Cursor, Event, Room, RoomReply, Tidings, Watch, WatchItem} from "@tidings/client";
import {Code, Failure, Role} from "@tidings/client";
import {Changes} from "./changes.ts";
import type {Entry, Message} from "./message.ts";
import {keepOf} from "./keep.ts";
import {type Outgoing, OutgoingList} from "./outgoing.ts";
import {Others} from "./others.ts";
import {Quotes} from "./quotes.ts";
import {rowsOf} from "./rows.ts";
import {Stretch} from "./stretch.ts";

const PAGE_EVENTS = 50;
const OLDER_EVENTS = 100;
const CATCH_UP_EVENTS_MAX = 500; // missed while away; more, and the newest page is sooner there than the oldest missed
const ENTRIES_MAX = 600; // some twenty screens; what is further away is read again, within a frame or two
const TAKEN_MAX = 500; // events that wait for a frame
const BEHIND_EVENTS = 40; // so many at once are no conversation: they are caught up with
const BEHIND_DRAW_MS = 200;

/** What the page gives: when it reads, when it paints, and who wants to know. */
export interface Surroundings {
  readonly me: string;
  /** Up to where I had read when I came; undefined: not known, or not kept for me. */
  readonly read: number | undefined;
  /** Between two. May be known later: it is asked for in a computed signal. */
  direct(): boolean;
  turn(): Promise<void> | void;
  /** Somebody is looking at the page. */
  watched(): boolean;
  /** Call it once, when the next frame is made, or soon if there will be none. */
  frame(then: () => void): void;
  /** These live events were put on the page just now. */
  painted(events: readonly Event[]): void;
}

/** Where to scroll: once, when it is on the page. */
export interface Goal {
  readonly seq: number;
}

export class Talk {
  readonly entries = signal<readonly Entry[]>([]);
  /** Nothing is before the first entry. */
  readonly beginning = signal(false);
  /** What was missed is here; what comes now is happening now. */
  readonly live = signal(false);
  /** The last entry is the newest. */
  readonly connected = signal(true);
  /** Everything from this seq on is on the page. */
  readonly from = signal(1);
  /** The first answer of the service has been here, or of the cache. */
  readonly begun = signal(false);
  readonly loading = signal<"older" | "newer" | "around" | undefined>(undefined);
  /** Loading failed; it is tried again on request. */
  readonly stuck = signal(false);
  /** Why there is no conversation: not mine, no such room. */
  readonly failure = signal<Failure | undefined>(undefined);
  /** The divider is before the first message of others from here on; 0: none. */
  readonly unreadFrom = signal(0);
  /** Messages of others that came while I was looking elsewhere in the room. */
  readonly newer = signal(0);
  readonly goal = signal<Goal | undefined>(undefined);
  readonly role = signal<Role | undefined>(undefined);
  /** The newest message of somebody else, for those who hear the page. */
  readonly heard = signal<Message | undefined>(undefined);
  /** The bottom is in sight and stays there. Kept by the timeline. */
  following = true;
  readonly others: Others;
  readonly outgoing: OutgoingList;
  readonly quotes: Quotes;
  readonly changes: Changes;
  readonly rows = computed(() =>
    rowsOf({
      entries: this.entries.value,
      outgoing: this.connected.value ? this.outgoing.list.value : this.outgoing.list.value.filter(({state}) => state === "failed"),
      me: this.around.me,
      direct: this.around.direct(),
      unreadFrom: this.unreadFrom.value,
      from: this.from.value,
    }),
  );
  private readonly log: Room;
  private stretch = new Stretch();
  private watch: Watch<WatchItem> | undefined;
  private stopped = false;
  /** What is missed until here carries what had become of it by then. */
  private asOf = 0;
  private drawing = false;
  /** Taken from the watch, and not in the stretch yet. */
  private taken: Event[] = [];
  /** How many were put into the stretch since the last frame, and the live ones among them that were not painted. */
  private applied = 0;
  private fresh: Event[] = [];
  private behind = false;
  private epoch = "";
  private keeping: Promise<unknown> = Promise.resolve();
  /** Where the page is now: answers to what was asked at another place come too late. */
  private place = 0;
  private sawTo = 0;

  constructor(
    tidings: Tidings,
    readonly room: string,
    readonly around: Surroundings,
    jump?: number,
  ) {
    this.log = tidings.room(room);
    this.changes = new Changes(this.log, around.me, (seq) => this.stretch.message(seq), (seq, change) => this.changed(seq, change));
    const seen = (seq: number): boolean => seq <= this.stretch.head && !this.taken.length;
    this.outgoing = new OutgoingList(tidings, room, keepOf<Outgoing[]>("failed", around.me, room), seen);
    this.quotes = new Quotes(this.log);
    this.others = new Others(tidings, room, around.me);
    this.begunAt(around.read);
    // Not known on this page yet: the service tells, with everybody's marks.
    if (around.read === undefined) void this.others.told.then(() => this.begunAt(this.others.mine.peek()?.read));
    void this.run(jump);
    void this.learnRole();
  }

  stop(): void {
    this.stopped = true;
    this.watch?.close();
    this.others.stop();
    this.outgoing.stop();
  }

  /** Try once more, after a failure. */
  again(): void {
    this.failure.value = undefined;
    void this.run(undefined);
  }

  private begunAt(read: number | undefined): void {
    if (read !== undefined && !this.stopped) this.unreadFrom.value = read + 1;
  }

  /** Everything on the page up to `to` was in sight of somebody. */
  saw(to: number): void {
    this.sawTo = Math.max(this.sawTo, to);
  }

  /** The newest seq that is on the page. */
  get to(): number {
    return this.stretch.to;
  }

  message(seq: number): Message | undefined {
    return this.stretch.message(seq);
  }

  // --- what happens

  private async run(jump: number | undefined): Promise<void> {
    let goal = jump;
    while (!this.stopped) {
      try {
        await this.begin(goal);
        return;
      } catch (error) {
        if (this.stopped) return;
        const failure = error instanceof Failure ? error : new Failure(Code.INTERNAL, String(error));
        if (failure.code !== Code.CURSOR_LOST) {
          this.failure.value = failure;
          return;
        }
        // The log was replaced, or what was missed is gone: what is kept does not go on.
        await this.log.forget();
        this.stretch = new Stretch();
        goal = undefined;
      }
    }
  }

  private async begin(jump: number | undefined): Promise<void> {
    const {log: room} = this;
    const kept = await room.kept();
    if (kept && !this.stopped) {
      this.stretch.replace(kept.events, {beginning: kept.events[0]?.seq === 1n});
      this.draw();
    }
    // Without a network this waits for it, for as long as it takes.
    const page = await room.history({limit: PAGE_EVENTS}, Infinity);
    if (this.stopped) return;
    const head = page.head!;
    this.epoch = head.epoch;
    const asOf = Number(head.seq);
    let after: Cursor = head;
    if (kept && kept.cursor.epoch === head.epoch && kept.cursor.seq <= head.seq && head.seq - kept.cursor.seq <= CATCH_UP_EVENTS_MAX) {
      after = kept.cursor;
    } else {
      if (kept) await room.forget();
      this.keep(page.events);
      this.stretch.replace(page.events, {asOf, beginning: !page.more, to: asOf});
    }
    if (jump) this.jump(jump);
    this.draw();
    this.asOf = asOf;
    await this.follow(after);
  }

  private async follow(after: Cursor): Promise<void> {
    const watch = this.log.items({after});
    this.watch = watch;
    for (;;) {
      // What is taken counts as read, so nothing is taken before its turn; nothing more is asked for meanwhile.
      if (await watch.arrived()) await this.around.turn();
      if (this.stopped) return;
      const {done, value} = await watch.next();
      if (done || this.stopped) return;
      const {item, cursor} = value;
      if (cursor?.epoch) this.epoch = cursor.epoch;
      if (item.case === "event") {
        this.taken.push(item.value);
        // Frames of a tab in the background may be a minute apart.
        if (this.taken.length >= TAKEN_MAX) batch(() => this.apply());
      } else if (item.case === "gap") {
        this.draw();
        this.stretch.missing(Number(item.value.from), Number(item.value.to));
      } else if (item.case === "live") {
        this.draw();
        this.live.value = true;
      }
      this.drawSoon();
    }
  }

  /** Put what was taken into the stretch. */
  private apply(): void {
    const events = this.taken;
    if (!events.length) return;
    this.taken = [];
    this.applied += events.length;
    this.keep(events);
    const before = this.stretch.to;
    // Who reads further up keeps what is there; what comes is read when they come down.
    this.stretch.happened(events, this.asOf, this.following ? Infinity : 2 * ENTRIES_MAX);
    if (this.following) this.stretch.dropOldest(ENTRIES_MAX);
    for (const event of events) this.noticed(event);
    if (!this.live.peek()) return;
    const fresh = events.filter(({seq}) => Number(seq) > before && Number(seq) <= this.stretch.to);
    this.fresh = [...this.fresh, ...fresh].slice(-TAKEN_MAX);
  }

  private noticed({what, actor, seq, clientId}: Event): void {
    if (what.case === "posted") {
      this.others.wrote(actor);
      if (actor === this.around.me) {
        if (clientId) this.outgoing.discard(clientId);
        return;
      }
      // What comes while nobody looks is new to whoever looks next.
      if (!this.live.peek()) return;
      if (!this.around.watched() && this.unreadFrom.peek() <= this.sawTo) this.unreadFrom.value = Number(seq);
      if (!this.following) this.newer.value += 1;
      this.heard.value = this.stretch.message(Number(seq)) ?? this.heard.peek();
    } else if (what.case === "member" && what.value.user === this.around.me) {
      this.role.value = what.value.left ? Role.ROLE_UNSPECIFIED : what.value.role;
    } else if (what.case !== undefined && what.case !== "member" && what.case !== "changed") {
      this.quotes.changed(Number(what.value.target));
    }
  }

  private keep(events: readonly Event[]): void {
    const {epoch} = this;
    this.keeping = this.keeping.then(() => this.log.keep(events, {epoch}));
  }

  // --- drawing

  private drawSoon(): void {
    if (this.drawing) return;
    this.drawing = true;
    const draw = (): void => {
      this.drawing = false;
      if (this.stopped) return;
      this.draw();
      this.behind = this.applied >= BEHIND_EVENTS;
      this.applied = 0;
    };
    if (this.behind) setTimeout(() => this.around.frame(draw), BEHIND_DRAW_MS);
    else this.around.frame(draw);
  }

  private draw(): void {
    batch(() => {
      this.apply();
      this.outgoing.arrived(this.stretch.entries, this.around.me);
      this.entries.value = this.stretch.entries;
      this.beginning.value = this.stretch.beginning;
      this.from.value = this.stretch.beginning ? 0 : this.stretch.from;
      this.connected.value = this.stretch.connected;
      this.begun.value = true;
      if (this.fresh.length) this.around.painted(this.fresh);
      this.fresh = [];
    });
  }

  // --- moving

  /** Read the page before what is here. */
  older(): Promise<void> {
    if (this.stretch.beginning) return Promise.resolve();
    return this.load("older", async (here) => {
      const page = await this.log.history({before: this.stretch.from, limit: OLDER_EVENTS});
      if (!here()) return;
      this.stretch.older(page);
      this.stretch.dropNewest(ENTRIES_MAX);
    });
  }

  /** Read the page behind what is here. */
  later(): Promise<void> {
    if (this.stretch.connected) return Promise.resolve();
    return this.load("newer", async (here) => {
      const page = await this.log.history({after: this.stretch.to, limit: OLDER_EVENTS});
      if (!here()) return;
      this.stretch.newer(page);
      this.stretch.dropOldest(ENTRIES_MAX);
    });
  }

  /** Go to this message, reading what is around it if need be. */
  jump(seq: number): void {
    this.following = false;
    if (seq >= this.stretch.from && seq <= this.stretch.to) {
      this.goal.value = {seq};
      return;
    }
    this.place += 1;
    this.loading.value = undefined;
    void this.load("around", async (here) => {
      const {log: room} = this;
      const half = PAGE_EVENTS / 2;
      const [before, after] = await Promise.all([room.history({before: seq + 1, limit: half}), room.history({after: seq, limit: half})]);
      if (!here()) return;
      const asOf = Math.min(Number(before.head?.seq ?? 0), Number(after.head?.seq ?? 0));
      const events = [...before.events, ...after.events];
      this.stretch.replace(events, {asOf, beginning: !before.more, to: after.more ? 0 : asOf});
      return {seq};
    });
  }

  /** Go to the newest message. */
  newest(): void {
    this.newer.value = 0;
    this.following = true;
    if (this.stretch.connected) {
      this.goal.value = {seq: Infinity};
      return;
    }
    this.place += 1;
    this.loading.value = undefined;
    void this.load("around", async (here) => {
      const page = await this.log.history({limit: PAGE_EVENTS});
      if (!here()) return;
      const asOf = Number(page.head?.seq ?? 0);
      this.stretch.replace(page.events, {asOf, beginning: !page.more, to: asOf});
      return {seq: Infinity};
    });
  }

  private async load(what: "older" | "newer" | "around", read: (here: () => boolean) => Promise<Goal | void>): Promise<void> {
    if (this.loading.peek() || this.failure.peek()) return;
    const {place} = this;
    const here = (): boolean => place === this.place && !this.stopped;
    this.loading.value = what;
    this.stuck.value = false;
    let goal: Goal | void;
    try {
      goal = await read(here);
    } catch (error) {
      if (here()) this.stuck.value = true;
      if (what === "around") this.changes.complain(error);
    }
    if (!here()) return;
    batch(() => {
      this.loading.value = undefined;
      this.draw();
      // Together with the rows it is among.
      if (goal) this.goal.value = goal;
    });
  }

  // --- doing

  send(text: string, replyTo: number): void {
    this.unreadFrom.value = 0;
    this.outgoing.send(text, replyTo);
    this.newest();
  }

  private changed(seq: number, change: (message: Message) => Message): void {
    if (this.stopped) return;
    this.stretch.change(seq, change);
    this.draw();
  }

  private async learnRole(): Promise<void> {
    const reply: RoomReply | undefined = await this.log.get().catch(() => undefined);
    if (reply && !this.stopped && this.role.peek() === undefined) this.role.value = reply.role;
  }
}
