/**
 * Loads older and newer pages of a room's log into the timeline, and jumps to a message.
 *
 * One page loads at a time. A jump or `cancel` starts a new position: a reply to a request of an earlier position is
 * dropped, because its events no longer border on what is shown.
 */
import {batch, signal} from "@preact/signals";
import type {Room} from "@tidings/client";
import type {TimelineWindow} from "./timeline-window.ts";
import type {ScrollTarget} from "./view-adapter.ts";

export const PAGE_EVENTS = 50;
const OLDER_EVENTS = 100;
export const ENTRIES_MAX = 600; // about twenty screens; what is dropped loads again within a frame or two

export type LoadingPart = "older" | "newer" | "around";

export interface PageLoaderHost {
  /** Put the timeline's entries on the page. */
  draw(): void;
  showError(error: unknown): void;
  /** Whether the conversation was stopped or has failed: nothing loads then. */
  isClosed(): boolean;
}

export class PageLoader {
  readonly loadingPart = signal<LoadingPart | undefined>(undefined);
  /** The last page failed to load. The user can try again. */
  readonly hasLoadError = signal(false);
  readonly scrollTarget = signal<ScrollTarget | undefined>(undefined);
  private position = 0;

  constructor(
    private readonly room: Pick<Room, "history">,
    private readonly timeline: TimelineWindow,
    private readonly host: PageLoaderHost,
  ) {}

  /** Load the page before the first entry. */
  loadOlder(): Promise<void> {
    if (this.timeline.isAtBeginning) return Promise.resolve();
    return this.load("older", async (isCurrent) => {
      const page = await this.room.history({before: this.timeline.from, limit: OLDER_EVENTS});
      if (!isCurrent()) return;
      this.timeline.prepend(page);
      this.timeline.dropNewest(ENTRIES_MAX);
    });
  }

  /** Load the page after the last entry. */
  loadNewer(): Promise<void> {
    if (this.timeline.isAtEnd) return Promise.resolve();
    return this.load("newer", async (isCurrent) => {
      const page = await this.room.history({after: this.timeline.to, limit: OLDER_EVENTS});
      if (!isCurrent()) return;
      this.timeline.append(page);
      this.timeline.dropOldest(ENTRIES_MAX);
    });
  }

  /** Scroll to this message; load the messages around it first if it is not on the page. */
  jumpTo(seq: number): void {
    if (seq >= this.timeline.from && seq <= this.timeline.to) {
      this.scrollTarget.value = {seq};
      return;
    }
    this.cancel();
    void this.load("around", async (isCurrent) => {
      const limit = PAGE_EVENTS / 2;
      const [before, after] = await Promise.all([this.room.history({before: seq + 1, limit}), this.room.history({after: seq, limit})]);
      if (!isCurrent()) return;
      const asOf = Math.min(Number(before.head?.seq ?? 0), Number(after.head?.seq ?? 0));
      const events = [...before.events, ...after.events];
      this.timeline.replace(events, {asOf, beginning: !before.more, to: after.more ? 0 : asOf});
      return {seq};
    });
  }

  /** Scroll to the newest message; load the newest page first if it is not on the page. */
  jumpToNewest(): void {
    if (this.timeline.isAtEnd) {
      this.scrollTarget.value = {seq: Infinity};
      return;
    }
    this.cancel();
    void this.load("around", async (isCurrent) => {
      const page = await this.room.history({limit: PAGE_EVENTS});
      if (!isCurrent()) return;
      const asOf = Number(page.head?.seq ?? 0);
      this.timeline.replace(page.events, {asOf, beginning: !page.more, to: asOf});
      return {seq: Infinity};
    });
  }

  /** Drop the page that is loading, if any. */
  cancel(): void {
    this.position += 1;
    this.loadingPart.value = undefined;
  }

  private async load(part: LoadingPart, read: (isCurrent: () => boolean) => Promise<ScrollTarget | void>): Promise<void> {
    if (this.loadingPart.peek() || this.host.isClosed()) return;
    const {position} = this;
    const isCurrent = (): boolean => position === this.position && !this.host.isClosed();
    this.loadingPart.value = part;
    this.hasLoadError.value = false;
    let target: ScrollTarget | void;
    try {
      target = await read(isCurrent);
    } catch (error) {
      if (isCurrent()) this.hasLoadError.value = true;
      if (part === "around") this.host.showError(error);
    }
    if (!isCurrent()) return;
    batch(() => {
      this.loadingPart.value = undefined;
      this.host.draw();
      // In the same batch as the rows, so that the target's row exists.
      if (target) this.scrollTarget.value = target;
    });
  }
}
