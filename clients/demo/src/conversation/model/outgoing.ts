/**
 * What I wrote here and the log does not show yet. The client's outbox keeps it over a reload and sends it; here it is put
 * together with the log by `clientId`, so that nothing is shown twice, and nothing is gone for a moment.
 *
 * The service's answer and the event come on different ways, in any order. A message therefore stays on this list after
 * the answer, until its event is here.
 */
import type {Failure, Pending, Tidings} from "@tidings/client";
import {computed, signal} from "@preact/signals";
import type {Entry} from "./message.ts";
import type {Keep} from "./keep.ts";

export interface Outgoing {
  readonly clientId: string;
  readonly text: string;
  readonly replyTo: number;
  readonly atMs: number;
  /** `sent`: the service has it, its event is not here yet. */
  readonly state: "waiting" | "sent" | "failed";
  /** Of a failed one: what the service said. */
  readonly why: string;
}

const FAILED_MAX = 20;

export class OutgoingList {
  private readonly all = signal<readonly Outgoing[]>([]);
  /** In the order they were written. */
  readonly list = computed(() => this.all.value);
  private readonly stops: (() => void)[];

  constructor(
    private readonly tidings: Tidings,
    private readonly room: string,
    private readonly kept: Keep<Outgoing[]>,
    /** Whether the log up to this seq has been taken note of. */
    private readonly seen: (seq: number) => boolean,
  ) {
    this.all.value = kept.load() ?? [];
    for (const message of tidings.room(room).pending()) this.waiting(message);
    const mine = (message: Pending) => message.room === room;
    this.stops = [
      tidings.on("pending", (message) => mine(message) && this.waiting(message)),
      tidings.on("sent", ({message, reply}) => mine(message) && this.sent(message, Number(reply.cursor?.seq ?? 0))),
      tidings.on("failed", ({message, failure}) => mine(message) && this.failed(message, failure)),
    ];
  }

  send(text: string, replyTo: number): void {
    void this.tidings.room(this.room).send(text, {replyTo});
  }

  retry({clientId, text, replyTo}: Outgoing): void {
    this.discard(clientId);
    // The same id: should the first attempt have come through after all, it stays one message.
    void this.tidings.room(this.room).send(text, {replyTo, clientId});
  }

  discard(clientId: string): void {
    this.put(this.all.peek().filter((message) => message.clientId !== clientId));
  }

  /** These are in the log now. */
  arrived(entries: readonly Entry[], me: string): void {
    if (!this.all.peek().length) return;
    const ids = new Set(entries.map((entry) => (entry.kind === "message" && entry.actor === me ? entry.clientId : "")));
    const left = this.all.peek().filter(({clientId}) => !ids.has(clientId));
    if (left.length < this.all.peek().length) this.put(left);
  }

  stop(): void {
    for (const stop of this.stops) stop();
  }

  private waiting({clientId, text, replyTo, atMs}: Pending): void {
    this.replace({clientId, text, replyTo, atMs, state: "waiting", why: ""});
  }

  private sent({clientId}: Pending, seq: number): void {
    const known = this.all.peek().find((message) => message.clientId === clientId);
    if (!known) return;
    if (this.seen(seq)) this.discard(clientId);
    else this.replace({...known, state: "sent"});
  }

  private failed({clientId, text, replyTo, atMs}: Pending, {text: why}: Failure): void {
    this.replace({clientId, text, replyTo, atMs, state: "failed", why});
  }

  private replace(message: Outgoing): void {
    const all = this.all.peek();
    const place = all.findIndex(({clientId}) => clientId === message.clientId);
    this.put(place < 0 ? [...all, message] : all.with(place, message));
  }

  private put(all: readonly Outgoing[]): void {
    this.all.value = all;
    // The outbox keeps those on their way; those that failed are out of it, and must survive a reload, too.
    this.kept.save(all.filter(({state}) => state === "failed").slice(-FAILED_MAX));
  }
}
