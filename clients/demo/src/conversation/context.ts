/** What the timeline and the composer of a conversation share: the conversation, what is open, and what is being written for. */
import type {signal} from "@preact/signals";
import {Role} from "@tidings/client";
import type {Anchor} from "../components/popup.tsx";
import type {Message} from "./model/message.ts";
import type {ConversationModel} from "./model/conversation-model.ts";

/** What is open beside a message, or over the page because of it. */
export interface OpenPopover {
  readonly what: "menu" | "emoji" | "delete" | "person";
  readonly seq: number;
  readonly at: Anchor;
}

/** What the composer is for, if not for a new message. */
export type ComposerMode =
  | {readonly kind: "reply"; readonly message: Message}
  /** `text`: another one than the message has. */
  | {readonly kind: "edit"; readonly message: Message; readonly text?: string};

export interface ConversationContext {
  readonly conversation: ConversationModel;
  readonly me: string;
  readonly popover: ReturnType<typeof signal<OpenPopover | undefined>>;
  readonly mode: ReturnType<typeof signal<ComposerMode | undefined>>;
  /** Write somebody's name into the composer, as "@name ". */
  mention(user: string): void;
  /** Put the cursor into the composer. */
  focusComposer(): void;
}

/** Whether I may write here; where it is not known the service will say. */
export function mayWrite(conversation: ConversationModel): boolean {
  return conversation.role.value !== Role.READER;
}
