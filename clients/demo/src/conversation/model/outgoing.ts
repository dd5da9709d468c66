/**
 * What I wrote here and the log does not show yet. The client's outbox keeps it over a reload and sends it; here it is put
 * together with the log by `clientId`, so that nothing is shown twice, and nothing is gone for a moment.
 *
 * The service's answer and the event come on different ways, in any order. A message therefore stays on this list after
 * the answer, until its event is here.
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
  /** `sent`: the service has it, its event is not here yet. */
  readonly state: "waiting" | "sent" | "failed";
  /** Of a failed one: what the service said. */
  readonly errorText: string;
}

const FAILED_MAX = 20;

export class OutgoingList {
  private readonly messages = signal<readonly OutgoingMessage[]>([]);
  /** In the order they were written. */
  readonly list = computed(() => this.messages.value);
  private readonly unsubscribers: (() => void)[];

  constructor(
    private readonly tidings: TidingsClient,
    private readonly room: string,
    private readonly storage: StoredValue<OutgoingMessage[]>,
    /** Whether the log up to this seq has been taken note of. */
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
    // The same id: should the first attempt have come through after all, it stays one message.
    void this.tidings.room(this.room).send(text, {replyTo, clientId});
  }

  discard(clientId: string): void {
    this.setMessages(this.messages.peek().filter((message) => message.clientId !== clientId));
  }

  /** These are in the log now. */
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
    const place = all.findIndex(({clientId}) => clientId === message.clientId);
    this.setMessages(place < 0 ? [...all, message] : all.with(place, message));
  }

  private setMessages(messages: readonly OutgoingMessage[]): void {
    this.messages.value = messages;
    // The outbox keeps those on their way; those that failed are out of it, and must survive a reload, too.
    this.storage.save(messages.filter(({state}) => state === "failed").slice(-FAILED_MAX));
  }
}
