/** What can be done with a message: one table for the buttons, the menu and the keys. */
import {Role} from "@tidings/client";
import type {Place} from "../../parts/popup.tsx";
import {type Desk, mayWrite} from "../desk.ts";
import type {Message} from "../model/message.ts";

export interface Action {
  readonly name: "reply" | "react" | "copy" | "edit" | "person" | "delete";
  /** Pressed while the message has the focus. */
  readonly key: string;
  may(message: Message, desk: Desk): boolean;
  run(message: Message, desk: Desk, at: Place): void;
}

const ACTIONS: readonly Action[] = [
  {
    name: "reply",
    key: "r",
    may: (_, {talk}) => mayWrite(talk),
    run(message, {purpose, write}) {
      purpose.value = {kind: "reply", message};
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
    run(message, {purpose, write}) {
      purpose.value = {kind: "edit", message};
      write();
    },
  },
  {
    name: "person",
    key: "p",
    may: () => true,
    run({seq}, {open}, at) {
      open.value = {what: "person", seq, at};
    },
  },
  {
    name: "delete",
    key: "Delete",
    may: ({actor}, {me, talk}) => (actor === me && mayWrite(talk)) || talk.role.value === Role.OWNER || talk.role.value === Role.MODERATOR,
    // Asked about first: what is deleted is deleted for everybody.
    run({seq}, {open}, at) {
      open.value = {what: "delete", seq, at};
    },
  },
];

/** What I may do with this message. */
export function actionsFor(message: Message, desk: Desk): readonly Action[] {
  return message.deleted ? [] : ACTIONS.filter((action) => action.may(message, desk));
}
