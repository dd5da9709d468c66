/**
 * Messages, and what later events make of them.
 *
 * A message read from the log carries what has become of it up to then (`asOf`); every later change comes as an event of
 * its own. `fold` puts the two together. Between what is known to be in a message and what is known not to be there may
 * be some events that are in doubt, so folding the same change twice gives the same message.
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
  /** The seq of the message answered, 0: none. */
  readonly replyTo: number;
  /** 0: never. */
  readonly editedAtMs: number;
  readonly deleted: boolean;
  readonly reactions: readonly Reaction[];
  /** Changes up to this seq are in it. */
  readonly asOf: number;
}

/** What is shown between messages: who came and left, what became of the room, and what is missing. */
export interface SystemMessage {
  readonly kind: "joined" | "left" | "role" | "created" | "renamed" | "gap";
  readonly seq: number;
  readonly atMs: number;
  readonly actor: string;
  /** Who came, left or got another role; the room's new title; of a gap nothing. */
  readonly subject: string;
  /** The role somebody got; the last seq of a gap. */
  readonly value: number;
}

export type Entry = Message | SystemMessage;

/** A change to an earlier message. */
export interface Change {
  readonly target: number;
  readonly event: Event;
}

/** What of an event is shown at its own place; undefined: it changes an earlier message, or nothing that is seen. */
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
    // Who comes by themselves, or is brought in as a member, comes; anything else is about what they may do.
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
      // An edit older than the text that is here was already overtaken; an empty one, to a message edited again or deleted later.
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

/** The message with a user's reaction put on or taken off. Emoji stay in the order in which they first came. */
export function withReaction(message: Message, emoji: string, user: string, removed: boolean): Message {
  const known = message.reactions.find((reaction) => reaction.emoji === emoji);
  const has = known?.users.includes(user) ?? false;
  // Behind a reaction of many stand more users than are named: one of those may take it back.
  const unnamed = !has && known !== undefined && known.count > known.users.length;
  if (removed ? !has && !unnamed : has) return message;
  const users = removed ? (known?.users ?? []).filter((name) => name !== user) : [...(known?.users ?? []), user];
  const next = {emoji, users, count: (known?.count ?? 0) + (removed ? -1 : 1)};
  const reactions = known ? message.reactions.map((reaction) => (reaction === known ? next : reaction)) : [...message.reactions, next];
  return {...message, reactions: reactions.filter(({count}) => count > 0)};
}
