/**
 * Messages on their way: shown at once, sent when there is a connection, never doubled, kept over a reload.
 *
 * A room's messages are sent one after the other, in the order they were written. Each is stored before it is sent and
 * removed after it was answered; its client_id makes the service carry it out once, however often it is sent, also when
 * two tabs find the same one.
 */
import type {SendReply} from "./gen/tidings/v1/chat_pb.ts";
import {Chat} from "./gen/tidings/v1/chat_pb.ts";
import {call} from "./calls.ts";
import type {Failure} from "./errors.ts";
import type {Keeper} from "./keeper.ts";
import type {Pending, Storage} from "./storage/storage.ts";

export interface Told {
  /** Written, or found after a reload: show it as on its way. */
  pending(message: Pending): void;
  /** It is in the log. */
  sent(message: Pending, reply: SendReply): void;
  /** It will not be sent: the service does not take it. */
  failed(message: Pending, failure: Failure): void;
}

export class Outbox {
  private readonly known = new Map<string, Pending>();
  private readonly lines = new Map<string, Promise<unknown>>();
  private order = Date.now();

  constructor(
    private readonly keeper: Keeper,
    private readonly storage: Promise<Storage>,
    private readonly told: Told,
  ) {}

  /** What is on its way, in the order it was written. */
  pending(room?: string): Pending[] {
    return [...this.known.values()].filter((message) => room === undefined || message.room === room);
  }

  /** Resolves when the message is in the log. A promise nobody waits for is fine: `failed` tells the same. */
  send(room: string, text: string, replyTo: number, clientId: string): Promise<SendReply> {
    // Later than everything before it, also of an earlier load: time orders those.
    this.order = Math.max(this.order + 1, Date.now());
    const message = {clientId, room, text, replyTo, atMs: Date.now(), order: this.order};
    const stored = this.storage.then((storage) => storage.putPending(message)).catch(() => undefined);
    return this.enqueue(message, stored);
  }

  /** Take up what an earlier load, or a tab that is gone, left behind. */
  async adopt(): Promise<void> {
    const left = await (await this.storage).pending().catch(() => []);
    for (const message of left) {
      if (!this.known.has(message.clientId) && !this.keeper.over) this.enqueue(message, Promise.resolve()).catch(() => undefined);
    }
  }

  private enqueue(message: Pending, stored: Promise<unknown>): Promise<SendReply> {
    this.known.set(message.clientId, message);
    this.told.pending(message);
    const before = this.lines.get(message.room) ?? Promise.resolve();
    const answer = Promise.all([before, stored]).then(() => this.deliver(message));
    const line = answer.catch(() => undefined);
    this.lines.set(message.room, line);
    void line.then(() => {
      if (this.lines.get(message.room) === line) this.lines.delete(message.room);
    });
    return answer;
  }

  private async deliver(message: Pending): Promise<SendReply> {
    const {room, clientId, text, replyTo} = message;
    try {
      const reply = await call(this.keeper, Chat.method.send, {room, clientId, text, replyTo: BigInt(replyTo)}, Infinity);
      await this.done(message);
      this.told.sent(message, reply);
      return reply;
    } catch (error) {
      // A client that is closed or refused leaves its messages to the next one.
      if (!this.keeper.over) {
        await this.done(message);
        this.told.failed(message, error as Failure);
      }
      throw error;
    }
  }

  private async done({clientId}: Pending): Promise<void> {
    this.known.delete(clientId);
    await (await this.storage).removePending(clientId).catch(() => undefined);
  }
}
