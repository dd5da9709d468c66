/**
 * The part of a room's log that is on the page: one piece without a hole, from seq `from` to seq `to`.
 *
 * It grows at both ends: pages are put before and behind it, and live events behind it. Whether it reaches the present
 * is no flag but a comparison: `to` with `head`, the newest seq that is known. While it does not (somebody reads what was
 * long ago), live events change the messages that are here and otherwise only move the head. What is too much is dropped
 * at the far end, and read again when somebody goes there.
 *
 * A page shows messages as they were when it was read. An event that overtook the page on its way here would be lost on
 * it, so the last changes are remembered, and folded into what comes later.
 */
import type {Event} from "@tidings/client";
import {type Change, changeOf, type Entry, entryOf, applyChange, type Message} from "./message.ts";

const CHANGES_MAX = 256; // remembered for pages that are on their way: some seconds of a busy room

/** A page as the service gives it. */
export interface Page {
  readonly events: readonly Event[];
  readonly more: boolean;
  readonly head?: {readonly seq: bigint} | undefined;
}

export class TimelineWindow {
  /** Messages and notes in order of seq. Replaced, never changed: who holds it holds a snapshot. */
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

  /** It reaches the present: what happens next is put behind it. */
  get isAtEnd(): boolean {
    return this.to >= this.head;
  }

  /** Begin anew with this page. `beginning`: nothing is before it. */
  replace(events: readonly Event[], {asOf = 0, beginning = false, to = 0}: {asOf?: number; beginning?: boolean; to?: number} = {}): void {
    this.entries = this.entriesOf(events, asOf);
    this.to = Math.max(to, seqOf(events.at(-1)));
    this.from = events.length ? seqOf(events[0]) : this.to + 1;
    this.isAtBeginning = beginning;
    this.head = Math.max(this.head, this.to, asOf);
  }

  /** Put the page before. */
  prepend({events, more, head}: Page): void {
    const fresh = events.filter(({seq}) => Number(seq) < this.from);
    this.entries = [...this.entriesOf(fresh, Number(head?.seq ?? 0)), ...this.entries];
    if (fresh.length) this.from = seqOf(fresh[0]);
    this.isAtBeginning = !more;
  }

  /** Put the page behind. */
  append({events, more, head}: Page): void {
    const fresh = events.filter(({seq}) => Number(seq) > this.to);
    this.entries = [...this.entries, ...this.entriesOf(fresh, Number(head?.seq ?? 0))];
    this.to = Math.max(this.to, seqOf(fresh.at(-1)));
    this.head = Math.max(this.head, this.to);
    // Nothing more, though the head is further: what was there has been removed since.
    if (!more && !fresh.length) this.to = this.head;
  }

  /** Something happened. `asOf`: up to where a message among it is known to be up to date. True: it is on the page. */
  applyEvents(events: readonly Event[], asOf = 0, entriesMax = Infinity): boolean {
    const fresh: Entry[] = [];
    let folded = this.entries as Entry[];
    for (const event of events) {
      const seq = Number(event.seq);
      this.head = Math.max(this.head, seq);
      const change = changeOf(event);
      if (change) {
        this.recentChanges.push(change);
        const place = indexOfSeq(fresh, change.target);
        if (place >= 0) fresh[place] = applyChange(fresh[place] as Message, change);
        else folded = applyToEntries(folded, change);
      }
      if (seq !== this.to + 1 || this.entries.length + fresh.length >= entriesMax) continue;
      this.to = seq;
      const entry = entryOf(event, asOf);
      if (entry) fresh.push(entry);
    }
    if (this.recentChanges.length > 2 * CHANGES_MAX) this.recentChanges = this.recentChanges.slice(-CHANGES_MAX);
    this.entries = fresh.length ? [...folded, ...fresh] : folded;
    return fresh.length > 0;
  }

  /** The service says that these were skipped or removed. */
  addGap(from: number, to: number): void {
    this.head = Math.max(this.head, to);
    if (from > this.to + 1 || to <= this.to) return;
    const atMs = this.entries.at(-1)?.atMs ?? 0;
    this.entries = [...this.entries, {kind: "gap", seq: from, atMs, actor: "", subject: "", value: to}];
    this.to = to;
  }

  /** Change one message by hand, before the service has said so. */
  updateMessage(seq: number, change: (message: Message) => Message): void {
    const place = indexOfSeq(this.entries, seq);
    const entry = this.entries[place];
    if (entry?.kind !== "message") return;
    this.entries = this.entries.with(place, change(entry));
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
    // Of the cache: its messages are as they came, and the changes are among the events.
    if (!asOf) for (const change of events.map(changeOf)) if (change) entries = applyToEntries(entries, change);
    for (const change of this.recentChanges) entries = applyToEntries(entries, change);
    return entries;
  }
}

function seqOf(event: Event | undefined): number {
  return Number(event?.seq ?? 0);
}

function applyToEntries(entries: Entry[], change: Change): Entry[] {
  const place = indexOfSeq(entries, change.target);
  const entry = entries[place];
  if (entry?.kind !== "message") return entries;
  const folded = applyChange(entry, change);
  return folded === entry ? entries : entries.with(place, folded);
}

/** The place of `seq` among entries in order; -1: it is not among them. */
function indexOfSeq(entries: readonly Entry[], seq: number): number {
  const place = insertionIndex(entries, seq);
  return entries[place]?.seq === seq ? place : -1;
}

/** The place of the first entry that is not before `seq`. */
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
