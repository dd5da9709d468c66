/** What can be done with a message: one table for the buttons, the menu and the keys. */
import {Role} from "@tidings/client";
import type {signal} from "@preact/signals";
import type {Message} from "../model/message.ts";
import type {Talk} from "../model/talk.ts";
import type {Place} from "./popup.tsx";

/** What is open beside a message. */
export interface Open {
  readonly what: "menu" | "emoji";
  readonly seq: number;
  readonly at: Place;
}

/** What the composer is doing besides writing a new message. */
export type Task =
  | {readonly kind: "reply"; readonly message: Message}
  /** `text`: another one than the message has. */
  | {readonly kind: "edit"; readonly message: Message; readonly text?: string};

/** What the timeline and the composer share. */
export interface Desk {
  readonly talk: Talk;
  readonly me: string;
  readonly open: ReturnType<typeof signal<Open | undefined>>;
  readonly task: ReturnType<typeof signal<Task | undefined>>;
  /** Put the cursor into the composer. */
  write(): void;
}

export interface Action {
  readonly name: "reply" | "react" | "copy" | "edit" | "delete";
  /** Pressed while the message has the focus. */
  readonly key: string;
  may(message: Message, desk: Desk): boolean;
  run(message: Message, desk: Desk, at: Place): void;
}

export const ACTIONS: readonly Action[] = [
  {
    name: "reply",
    key: "r",
    may: (_, {talk}) => mayWrite(talk),
    run(message, {task, write}) {
      task.value = {kind: "reply", message};
      write();
    },
  },
  {
    name: "react",
    key: "+",
    may: (_, {talk}) => mayWrite(talk),
    run({seq}, {open}, at) {
      open.value = {what: "emoji", seq, at};
    },
  },
  {
    name: "copy",
    key: "c",
    may: () => true,
    run: ({text}, {talk}) => void navigator.clipboard?.writeText(text).catch((error) => talk.changes.complain(error)),
  },
  {
    name: "edit",
    key: "e",
    may: ({actor}, {me, talk}) => actor === me && mayWrite(talk),
    run(message, {task, write}) {
      task.value = {kind: "edit", message};
      write();
    },
  },
  {
    name: "delete",
    key: "Delete",
    may: ({actor}, {me, talk}) => (actor === me && mayWrite(talk)) || talk.role.value === Role.OWNER || talk.role.value === Role.MODERATOR,
    run: ({seq}, {talk}) => void talk.changes.delete(seq),
  },
];

/** Whether I may write here; where it is not known the service will say. */
export function mayWrite(talk: Talk): boolean {
  return talk.role.value !== Role.READER;
}

/** What I may do with this message. */
export function actionsFor(message: Message, desk: Desk): readonly Action[] {
  return message.deleted ? [] : ACTIONS.filter((action) => action.may(message, desk));
}

export function placeOf(element: Element): Place {
  return element.getBoundingClientRect();
}
