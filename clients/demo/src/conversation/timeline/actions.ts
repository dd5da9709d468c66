/** The actions on a message: one table for the buttons, the menu and the keyboard. */
import {Role} from "@tidings/client";
import type {Anchor} from "../../components/popup.tsx";
import {type ConversationContext, mayWrite} from "../context.ts";
import type {Message} from "../model/message.ts";

export interface Action {
  readonly name: "reply" | "react" | "copy" | "edit" | "person" | "delete";
  /** The key for it while the message has the focus. */
  readonly key: string;
  isAllowed(message: Message, context: ConversationContext): boolean;
  run(message: Message, context: ConversationContext, at: Anchor): void;
}

const ACTIONS: readonly Action[] = [
  {
    name: "reply",
    key: "r",
    isAllowed: (_, {conversation}) => mayWrite(conversation),
    run(message, {mode, focusComposer}) {
      mode.value = {kind: "reply", message};
      focusComposer();
    },
  },
  {
    name: "react",
    key: "+",
    isAllowed: (_, {conversation}) => mayWrite(conversation),
    run({seq}, {popover}, at) {
      popover.value = {what: "emoji", seq, at};
    },
  },
  {
    name: "copy",
    key: "c",
    isAllowed: () => true,
    run: ({text}, {conversation}) => void navigator.clipboard?.writeText(text).catch((error) => conversation.actions.showError(error)),
  },
  {
    name: "edit",
    key: "e",
    isAllowed: ({actor}, {me, conversation}) => actor === me && mayWrite(conversation),
    run(message, {mode, focusComposer}) {
      mode.value = {kind: "edit", message};
      focusComposer();
    },
  },
  {
    name: "person",
    key: "p",
    isAllowed: () => true,
    run({seq}, {popover}, at) {
      popover.value = {what: "person", seq, at};
    },
  },
  {
    name: "delete",
    key: "Delete",
    isAllowed: ({actor}, {me, conversation}) => (actor === me && mayWrite(conversation)) || conversation.role.value === Role.OWNER || conversation.role.value === Role.MODERATOR,
    // Opens a confirmation: a message is deleted for everyone.
    run({seq}, {popover}, at) {
      popover.value = {what: "delete", seq, at};
    },
  },
];

/** The actions that I may use on this message. */
export function actionsFor(message: Message, context: ConversationContext): readonly Action[] {
  return message.deleted ? [] : ACTIONS.filter((action) => action.isAllowed(message, context));
}
