/**
 * The part of a room's log that is on the page: a contiguous range, from seq `from` to seq `to`.
 *
 * It grows at both ends: pages at both, live events at the end. Whether it reaches the end of the log is no flag but a
 * comparison of `to` with `head`, the newest known seq. While it does not, because the user reads older messages, live
 * events change the messages in it and otherwise only advance the head. Too many entries are dropped at the far end, and
 * loaded again when the user scrolls there.
 *
 * A page shows messages as they were when it was read. A change that arrived before the page would be missing in it, so the
 * last changes are kept and applied to pages that arrive later.
 */
import type {Event} from "@tidings/client";
import {type Change, changeOf, type Entry, entryOf, applyChange, type Message} from "./message.ts";

const CHANGES_MAX = 256; // kept for pages that are being loaded: some seconds of a busy room

/** A page of history, as the service returns it. */
export interface Page {
  readonly events: readonly Event[];
  readonly more: boolean;
  readonly head?: {readonly seq: bigint} | undefined;
}

export class TimelineWindow {
  /** Messages and system messages in order of seq. The array is replaced, never changed, so a reference is a snapshot. */
  entries: readonly Entry[] = [];
  /** Everything from here… */
  from = 1;
  /** …to here is in `entries`, as far as it is shown at all. */
  to = 0;
  /** There is nothing before `from`. */
  isAtBeginning = false;
  /** The newest seq known. */
  head = 0;
  private recentChanges: Change[] = [];

  /** It reaches the end of the log: the next event is appended to it. */
  get isAtEnd(): boolean {
    return this.to >= this.head;
  }

  /** Forget everything: the log was replaced. */
  reset(): void {
    this.entries = [];
    this.from = 1;
    this.to = this.head = 0;
    this.isAtBeginning = false;
    this.recentChanges = [];
  }

  /** Replace everything by this page. `beginning`: nothing is before it. */
  replace(events: readonly Event[], {asOf = 0, beginning = false, to = 0}: {asOf?: number; beginning?: boolean; to?: number} = {}): void {
    this.entries = this.entriesOf(events, asOf);
    this.to = Math.max(to, seqOf(events.at(-1)));
    this.from = events.length ? seqOf(events[0]) : this.to + 1;
    this.isAtBeginning = beginning;
    this.head = Math.max(this.head, this.to, asOf);
  }

  /** Add an older page at the start. */
  prepend({events, more, head}: Page): void {
    const added = events.filter(({seq}) => Number(seq) < this.from);
    this.entries = [...this.entriesOf(added, Number(head?.seq ?? 0)), ...this.entries];
    if (added.length) this.from = seqOf(added[0]);
    this.isAtBeginning = !more;
  }

  /** Add a newer page at the end. */
  append({events, more, head}: Page): void {
    const added = events.filter(({seq}) => Number(seq) > this.to);
    this.entries = [...this.entries, ...this.entriesOf(added, Number(head?.seq ?? 0))];
    this.to = Math.max(this.to, seqOf(added.at(-1)));
    this.head = Math.max(this.head, this.to);
    // No more events although the head is further: they were removed since.
    if (!more && !added.length) this.to = this.head;
  }

  /** Apply live events. `asOf`: messages among them carry their changes up to this seq. Returns whether any is on the page. */
  applyEvents(events: readonly Event[], asOf = 0, entriesMax = Infinity): boolean {
    const added: Entry[] = [];
    let changed = this.entries as Entry[];
    for (const event of events) {
      const seq = Number(event.seq);
      this.head = Math.max(this.head, seq);
      const change = changeOf(event);
      if (change) {
        this.recentChanges.push(change);
        const index = indexOfSeq(added, change.target);
        if (index >= 0) added[index] = applyChange(added[index] as Message, change);
        else changed = applyToEntries(changed, change);
      }
      if (seq !== this.to + 1 || this.entries.length + added.length >= entriesMax) continue;
      this.to = seq;
      const entry = entryOf(event, asOf);
      if (entry) added.push(entry);
    }
    if (this.recentChanges.length > 2 * CHANGES_MAX) this.recentChanges = this.recentChanges.slice(-CHANGES_MAX);
    this.entries = added.length ? [...changed, ...added] : changed;
    return added.length > 0;
  }

  /** The service reported that these events were skipped or removed. */
  addGap(from: number, to: number): void {
    this.head = Math.max(this.head, to);
    if (from > this.to + 1 || to <= this.to) return;
    const atMs = this.entries.at(-1)?.atMs ?? 0;
    this.entries = [...this.entries, {kind: "gap", seq: from, atMs, actor: "", subject: "", value: to}];
    this.to = to;
  }

  /** Change one message before the service confirms it. */
  updateMessage(seq: number, change: (message: Message) => Message): void {
    const index = indexOfSeq(this.entries, seq);
    const entry = this.entries[index];
    if (entry?.kind !== "message") return;
    this.entries = this.entries.with(index, change(entry));
  }

  message(seq: number): Message | undefined {
    const entry = this.entries[indexOfSeq(this.entries, seq)];
    return entry?.kind === "message" ? entry : undefined;
  }

  /** Keep the newest `entriesMax`. */
  dropOldest(entriesMax: number): void {
    if (this.entries.length <= entriesMax) return;
    this.entries = this.entries.slice(-entriesMax);
    this.from = this.entries[0]!.seq;
    this.isAtBeginning = false;
  }

  /** Keep the oldest `entriesMax`. */
  dropNewest(entriesMax: number): void {
    if (this.entries.length <= entriesMax) return;
    this.entries = this.entries.slice(0, entriesMax);
    const last = this.entries.at(-1)!;
    this.to = last.kind === "gap" ? last.value : last.seq;
  }

  private entriesOf(events: readonly Event[], asOf: number): Entry[] {
    let entries = events.map((event) => entryOf(event, asOf)).filter((entry) => entry !== undefined);
    // From the cache: messages are as they first arrived, and their changes are among the events.
    if (!asOf) for (const change of events.map(changeOf)) if (change) entries = applyToEntries(entries, change);
    for (const change of this.recentChanges) entries = applyToEntries(entries, change);
    return entries;
  }
}

function seqOf(event: Event | undefined): number {
  return Number(event?.seq ?? 0);
}

function applyToEntries(entries: Entry[], change: Change): Entry[] {
  const index = indexOfSeq(entries, change.target);
  const entry = entries[index];
  if (entry?.kind !== "message") return entries;
  const changed = applyChange(entry, change);
  return changed === entry ? entries : entries.with(index, changed);
}

/** The index of `seq` in sorted entries; -1: not found. */
function indexOfSeq(entries: readonly Entry[], seq: number): number {
  const index = insertionIndex(entries, seq);
  return entries[index]?.seq === seq ? index : -1;
}

/** The index of the first entry that is not before `seq`. */
export function insertionIndex(entries: readonly {readonly seq: number}[], seq: number): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (entries[middle]!.seq < seq) low = middle + 1;
    else high = middle;
  }
  return low;
}
