/** The rows of a conversation: its entries with days between them, one author's messages together, and what is on its way. */
import type {Entry, Message, SystemMessage} from "./message.ts";
import type {OutgoingMessage} from "./outgoing.ts";

const MERGE_MS = 60_000; // people who come within a minute of each other are serverConfig of in one line
const GROUP_MS = 5 * 60_000; // longer ago, and it is another thought

/** `first`: of a group, so it says who and when. `next`: the seq of the message below it in its group, 0: it is the last. */
export type Row =
  | {readonly kind: "day"; readonly key: string; readonly atMs: number}
  | {readonly kind: "unread"; readonly key: string}
  | {readonly kind: "message"; readonly key: string; readonly message: Message; readonly first: boolean; readonly next: number}
  /** `about`: everybody it is about, where several came or left at about the same time. */
  | {readonly kind: "note"; readonly key: string; readonly note: SystemMessage; readonly about: readonly string[]}
  | {readonly kind: "outgoing"; readonly key: string; readonly outgoing: OutgoingMessage; readonly first: boolean};

export interface RowsInput {
  readonly entries: readonly Entry[];
  readonly outgoing: readonly OutgoingMessage[];
  readonly me: string;
  /** Between two: who made the room and who came needs no telling. */
  readonly direct: boolean;
  /** The divider is before the first message of others from this seq on, if that is on the page; 0: there is none. */
  readonly unreadFrom: number;
  /** Everything from this seq on is on the page. */
  readonly from: number;
}

export function buildRows({entries, outgoing, me, direct, unreadFrom, from}: RowsInput): Row[] {
  const rows: Row[] = [];
  let day = "";
  let before: {actor: string; atMs: number} | undefined;
  let divided = !unreadFrom || from > unreadFrom;
  const addDay = (atMs: number): void => {
    const today = dayOf(atMs);
    if (today === day) return;
    day = today;
    before = undefined;
    rows.push({kind: "day", key: `day ${today}`, atMs});
  };
  for (const entry of entries) {
    if (direct && entry.kind !== "message" && entry.kind !== "gap") continue;
    addDay(entry.atMs);
    if (entry.kind !== "message") {
      addSystemMessage(rows, entry);
      before = undefined;
      continue;
    }
    if (!divided && entry.seq >= unreadFrom && entry.actor !== me) {
      divided = true;
      before = undefined;
      rows.push({kind: "unread", key: "unread"});
    }
    const first = !isSameGroup(before, entry);
    const above = rows.at(-1);
    if (!first && above?.kind === "message") rows[rows.length - 1] = {...above, next: entry.seq};
    rows.push({kind: "message", key: keyOf(entry, me), message: entry, first, next: 0});
    before = entry;
  }
  for (const message of outgoing) {
    const {atMs, clientId, replyTo} = message;
    addDay(Math.max(atMs, before?.atMs ?? 0));
    const first = !isSameGroup(before, {actor: me, atMs, replyTo});
    rows.push({kind: "outgoing", key: `sent ${clientId}`, outgoing: message, first});
    before = {actor: me, atMs};
  }
  return rows;
}

/** As a row of its own, or in the one above if that tells the same of somebody else. */
function addSystemMessage(rows: Row[], note: SystemMessage): void {
  const above = rows.at(-1);
  if (above?.kind === "note") {
    const {note: first, about} = above;
    // Who made a room is in it.
    if (first.kind === "created" && note.kind === "joined" && note.subject === first.actor) return;
    if (canMerge(first, note) && note.atMs - first.atMs < MERGE_MS) {
      rows[rows.length - 1] = {...above, about: about.includes(note.subject) ? about : [...about, note.subject]};
      return;
    }
  }
  rows.push({kind: "note", key: `note ${note.seq}`, note, about: [note.subject]});
}

/** The same happened: they came or left by themselves, or the same person brought them in or removed them. */
function canMerge(a: SystemMessage, b: SystemMessage): boolean {
  if (a.kind !== b.kind || (a.kind !== "joined" && a.kind !== "left")) return false;
  return a.actor === a.subject ? b.actor === b.subject : a.actor === b.actor && b.actor !== b.subject;
}

/** What I wrote keeps its row when it gets its number. */
function keyOf({seq, actor, clientId}: Message, me: string): string {
  return actor === me && clientId ? `sent ${clientId}` : `message ${seq}`;
}

function isSameGroup(before: {actor: string; atMs: number} | undefined, next: {actor: string; atMs: number; replyTo: number}): boolean {
  return before !== undefined && before.actor === next.actor && !next.replyTo && next.atMs - before.atMs < GROUP_MS;
}

function dayOf(atMs: number): string {
  const at = new Date(atMs);
  return `${at.getFullYear()}-${at.getMonth() + 1}-${at.getDate()}`;
}
