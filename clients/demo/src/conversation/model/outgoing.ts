/**
 * My messages that are not in the log of this page yet. The client's outbox stores and sends them; this list is matched with
 * the log by `clientId`, so that a message is never shown twice and never missing for a moment.
 *
 * The reply of the service and the event arrive in any order. So a message stays on this list after the reply, until its
 * event is here.
 */
import type {ApiError, PendingMessage, TidingsClient} from "@tidings/client";
import {computed, signal} from "@preact/signals";
import type {Entry} from "./message.ts";
import type {StoredValue} from "./stored-value.ts";

export interface OutgoingMessage {
  readonly clientId: string;
  readonly text: string;
  readonly replyTo: number;
  readonly atMs: number;
  /** `sent`: the service acknowledged it, its event is not here yet. */
  readonly state: "waiting" | "sent" | "failed";
  /** The error of the service, if failed. */
  readonly errorText: string;
}

const FAILED_MAX = 20;

export class OutgoingList {
  private readonly messages = signal<readonly OutgoingMessage[]>([]);
  /** In the order in which they were written. */
  readonly list = computed(() => this.messages.value);
  private readonly unsubscribers: (() => void)[];

  constructor(
    private readonly tidings: TidingsClient,
    private readonly room: string,
    private readonly storage: StoredValue<OutgoingMessage[]>,
    /** Whether the log up to this seq has been applied. */
    private readonly isKnown: (seq: number) => boolean,
  ) {
    this.messages.value = storage.load() ?? [];
    for (const message of tidings.room(room).pending()) this.onPending(message);
    const mine = (message: PendingMessage) => message.room === room;
    this.unsubscribers = [
      tidings.on("pending", (message) => mine(message) && this.onPending(message)),
      tidings.on("sent", ({message, reply}) => mine(message) && this.onSent(message, Number(reply.cursor?.seq ?? 0))),
      tidings.on("failed", ({message, failure}) => mine(message) && this.onFailed(message, failure)),
    ];
  }

  send(text: string, replyTo: number): void {
    void this.tidings.room(this.room).send(text, {replyTo});
  }

  retry({clientId, text, replyTo}: OutgoingMessage): void {
    this.discard(clientId);
    // The same id: if the first attempt succeeded after all, it stays one message.
    void this.tidings.room(this.room).send(text, {replyTo, clientId});
  }

  discard(clientId: string): void {
    this.setMessages(this.messages.peek().filter((message) => message.clientId !== clientId));
  }

  /** Remove the messages that are among these entries of the log. */
  removeArrived(entries: readonly Entry[], me: string): void {
    if (!this.messages.peek().length) return;
    const ids = new Set(entries.map((entry) => (entry.kind === "message" && entry.actor === me ? entry.clientId : "")));
    const left = this.messages.peek().filter(({clientId}) => !ids.has(clientId));
    if (left.length < this.messages.peek().length) this.setMessages(left);
  }

  stop(): void {
    for (const stop of this.unsubscribers) stop();
  }

  private onPending({clientId, text, replyTo, atMs}: PendingMessage): void {
    this.replace({clientId, text, replyTo, atMs, state: "waiting", errorText: ""});
  }

  private onSent({clientId}: PendingMessage, seq: number): void {
    const known = this.messages.peek().find((message) => message.clientId === clientId);
    if (!known) return;
    if (this.isKnown(seq)) this.discard(clientId);
    else this.replace({...known, state: "sent"});
  }

  private onFailed({clientId, text, replyTo, atMs}: PendingMessage, {text: why}: ApiError): void {
    this.replace({clientId, text, replyTo, atMs, state: "failed", errorText: why});
  }

  private replace(message: OutgoingMessage): void {
    const all = this.messages.peek();
    const index = all.findIndex(({clientId}) => clientId === message.clientId);
    this.setMessages(index < 0 ? [...all, message] : all.with(index, message));
  }

  private setMessages(messages: readonly OutgoingMessage[]): void {
    this.messages.value = messages;
    // The outbox stores waiting messages. Failed ones are not in it and must survive a reload, too.
    this.storage.save(messages.filter(({state}) => state === "failed").slice(-FAILED_MAX));
  }
}
