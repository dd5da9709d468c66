/** The rows of a conversation: its entries with day separators, messages of one author grouped, and outgoing messages. */
import type {Entry, Message, SystemMessage} from "./message.ts";
import type {OutgoingMessage} from "./outgoing.ts";

const MERGE_MS = 60_000; // members that join within a minute share a line
const GROUP_MS = 5 * 60_000; // after a longer pause a new group starts

/** `first`: the first of a group, which shows author and time. `next`: the seq of the next message of its group; 0: it is the last. */
export type Row =
  | {readonly kind: "day"; readonly key: string; readonly atMs: number}
  | {readonly kind: "unread"; readonly key: string}
  | {readonly kind: "message"; readonly key: string; readonly message: Message; readonly first: boolean; readonly next: number}
  /** `about`: all members it is about, if several joined or left at about the same time. */
  | {readonly kind: "system"; readonly key: string; readonly message: SystemMessage; readonly about: readonly string[]}
  | {readonly kind: "outgoing"; readonly key: string; readonly outgoing: OutgoingMessage; readonly first: boolean};

export interface RowsInput {
  readonly entries: readonly Entry[];
  readonly outgoing: readonly OutgoingMessage[];
  readonly me: string;
  /** A direct room: it shows no line about its creation and members. */
  readonly direct: boolean;
  /** The divider stands before the first message of others from this seq on, if that is on the page; 0: no divider. */
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

/** Add a row, or merge it into the row above if that says the same about other members. */
function addSystemMessage(rows: Row[], message: SystemMessage): void {
  const above = rows.at(-1);
  if (above?.kind === "system") {
    const {message: first, about} = above;
    // The creator of a room is a member anyway.
    if (first.kind === "created" && message.kind === "joined" && message.subject === first.actor) return;
    if (canMerge(first, message) && message.atMs - first.atMs < MERGE_MS) {
      rows[rows.length - 1] = {...above, about: about.includes(message.subject) ? about : [...about, message.subject]};
      return;
    }
  }
  rows.push({kind: "system", key: `system ${message.seq}`, message, about: [message.subject]});
}

/** Both joined or left by themselves, or the same user added or removed both. */
function canMerge(a: SystemMessage, b: SystemMessage): boolean {
  if (a.kind !== b.kind || (a.kind !== "joined" && a.kind !== "left")) return false;
  return a.actor === a.subject ? b.actor === b.subject : a.actor === b.actor && b.actor !== b.subject;
}

/** My message keeps its row when its event arrives. */
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
