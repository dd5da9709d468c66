/** What the timeline and the composer of a conversation share: the talk, what is open, and what is being written for. */
import type {signal} from "@preact/signals";
import {Role} from "@tidings/client";
import type {Place} from "../parts/popup.tsx";
import type {Message} from "./model/message.ts";
import type {Talk} from "./model/talk.ts";

/** What is open beside a message, or over the page because of it. */
export interface Open {
  readonly what: "menu" | "emoji" | "delete" | "person";
  readonly seq: number;
  readonly at: Place;
}

/** What the composer is for, if not for a new message. */
export type Purpose =
  | {readonly kind: "reply"; readonly message: Message}
  /** `text`: another one than the message has. */
  | {readonly kind: "edit"; readonly message: Message; readonly text?: string};

export interface Desk {
  readonly talk: Talk;
  readonly me: string;
  readonly open: ReturnType<typeof signal<Open | undefined>>;
  readonly purpose: ReturnType<typeof signal<Purpose | undefined>>;
  /** Write somebody's name into the composer, as "@name ". */
  mention(user: string): void;
  /** Put the cursor into the composer. */
  write(): void;
}

/** Whether I may write here; where it is not known the service will say. */
export function mayWrite(talk: Talk): boolean {
  return talk.role.value !== Role.READER;
}
