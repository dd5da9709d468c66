/**
 * Messages, and the changes that later events make to them.
 *
 * A message read from the log carries its changes up to a seq (`asOf`); every later change is an event of its own.
 * `applyChange` applies it. For some events it is not known whether a message already carries them, so applying the same
 * change twice must give the same message.
 */
import {type Event, Role} from "@tidings/client";

export interface Reaction {
  readonly emoji: string;
  /** The first 50 in order of arrival; `count` says how many there are. */
  readonly users: readonly string[];
  readonly count: number;
}

export interface Message {
  readonly kind: "message";
  readonly seq: number;
  readonly actor: string;
  readonly clientId: string;
  readonly atMs: number;
  readonly text: string;
  /** The seq of the message replied to, 0: none. */
  readonly replyTo: number;
  /** 0: never. */
  readonly editedAtMs: number;
  readonly deleted: boolean;
  readonly reactions: readonly Reaction[];
  /** Changes up to this seq are in it. */
  readonly asOf: number;
}

/** A line between messages: members that joined or left, changes of the room, gaps. */
export interface SystemMessage {
  readonly kind: "joined" | "left" | "role" | "created" | "renamed" | "gap";
  readonly seq: number;
  readonly atMs: number;
  readonly actor: string;
  /** The member that joined, left or got another role; the new title of the room; empty for a gap. */
  readonly subject: string;
  /** The new role; the last seq of a gap. */
  readonly value: number;
}

export type Entry = Message | SystemMessage;

/** A change to an earlier message. */
export interface Change {
  readonly target: number;
  readonly event: Event;
}

/** The entry that shows an event; undefined: it changes an earlier message, or is not shown. */
export function entryOf(event: Event, asOf: number): Entry | undefined {
  const {what, actor, clientId} = event;
  const at = {seq: Number(event.seq), atMs: Number(event.atMs), actor};
  if (what.case === "posted") {
    const {text, replyTo, editedAtMs, deleted, reactions} = what.value;
    return {
      ...at,
      kind: "message",
      clientId,
      text,
      replyTo: Number(replyTo),
      editedAtMs: Number(editedAtMs),
      deleted,
      reactions: reactions.map(({emoji, users, count}) => ({emoji, users: [...users], count})),
      asOf: Math.max(asOf, at.seq),
    };
  }
  if (what.case === "member") {
    const {user, role, left} = what.value;
    // Joining, or being added as a member, is "joined"; any other role change is "role".
    const joined = user === actor || role === Role.MEMBER;
    return {...at, kind: left ? "left" : joined ? "joined" : "role", subject: user, value: role};
  }
  if (what.case === "changed") {
    const {title, created} = what.value;
    return {...at, kind: created ? "created" : "renamed", subject: title, value: 0};
  }
  return undefined;
}

/** The change that an event makes to an earlier message; undefined: none. */
export function changeOf(event: Event): Change | undefined {
  const {what} = event;
  if (what.case === "edited" || what.case === "deleted" || what.case === "reacted" || what.case === "appended") {
    return {target: Number(what.value.target), event};
  }
  return undefined;
}

/** The message after the change. The same object when it makes no difference. */
export function applyChange(message: Message, {event}: Change): Message {
  const {what, actor} = event;
  const seq = Number(event.seq);
  if (message.deleted || (seq && seq <= message.asOf)) return message;
  switch (what.case) {
    case "edited": {
      const atMs = Number(event.atMs);
      // Ignore an edit older than the text, and an empty one: that message was edited again or deleted later.
      if (atMs < message.editedAtMs || !what.value.text) return message;
      return {...message, text: what.value.text, editedAtMs: atMs};
    }
    case "deleted":
      return {...message, text: "", deleted: true, reactions: []};
    case "reacted":
      return withReaction(message, what.value.emoji, actor, what.value.removed);
    case "appended":
      return {...message, text: message.text + what.value.text, asOf: seq};
    default:
      return message;
  }
}

/** The message with a user's reaction added or removed. Emoji keep the order in which they were first used. */
export function withReaction(message: Message, emoji: string, user: string, removed: boolean): Message {
  const known = message.reactions.find((reaction) => reaction.emoji === emoji);
  const has = known?.users.includes(user) ?? false;
  // A reaction may have more users than are listed: one of those may remove it.
  const unnamed = !has && known !== undefined && known.count > known.users.length;
  if (removed ? !has && !unnamed : has) return message;
  const users = removed ? (known?.users ?? []).filter((name) => name !== user) : [...(known?.users ?? []), user];
  const next = {emoji, users, count: (known?.count ?? 0) + (removed ? -1 : 1)};
  const reactions = known ? message.reactions.map((reaction) => (reaction === known ? next : reaction)) : [...message.reactions, next];
  return {...message, reactions: reactions.filter(({count}) => count > 0)};
}
