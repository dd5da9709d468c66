/** The state that timeline and composer of a conversation share: the model, the open popover, and the composer mode. */
import type {signal} from "@preact/signals";
import {Role} from "@tidings/client";
import type {Anchor} from "../components/popup.tsx";
import type {Message} from "./model/message.ts";
import type {ConversationModel} from "./model/conversation-model.ts";

/** The popover or dialog that is open for a message. */
export interface OpenPopover {
  readonly what: "menu" | "emoji" | "delete" | "person";
  readonly seq: number;
  readonly at: Anchor;
}

/** The mode of the composer; undefined: a new message. */
export type ComposerMode =
  | {readonly kind: "reply"; readonly message: Message}
  /** `text`: the text to edit, if not that of the message. */
  | {readonly kind: "edit"; readonly message: Message; readonly text?: string};

export interface ConversationContext {
  readonly conversation: ConversationModel;
  readonly me: string;
  readonly popover: ReturnType<typeof signal<OpenPopover | undefined>>;
  readonly mode: ReturnType<typeof signal<ComposerMode | undefined>>;
  /** Insert a user name into the composer, as "@name ". */
  mention(user: string): void;
  /** Move the focus to the composer. */
  focusComposer(): void;
}

/** Whether I may write here. While my role is not known it is true: the service checks it. */
export function mayWrite(conversation: ConversationModel): boolean {
  return conversation.role.value !== Role.READER;
}
