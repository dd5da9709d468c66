/**
 * Messages on their way: shown at once, sent when there is a connection, never doubled, kept over a reload.
 *
 * A room's messages are sent one after the other, in the order they were written. Each is stored before it is sent and
 * removed after it was answered; its client_id makes the service carry it out once, however often it is sent.
 *
 * The tab it was written in sends it; the others show it, and one of them takes it up when that tab is gone (`siblings.ts`).
 * Where tabs do not know of each other, each sends what it finds.
 */
import type {SendReply} from "./gen/tidings/v1/chat_pb.ts";
import {Chat} from "./gen/tidings/v1/chat_pb.ts";
import {call} from "./calls.ts";
import type {Failure} from "./errors.ts";
import type {Keeper} from "./keeper.ts";
import type {News, Siblings} from "./siblings.ts";
import type {Pending, Storage} from "./storage/storage.ts";

export interface Told {
  /** Written, or found after a reload: show it as on its way. */
  pending(message: Pending): void;
  /** It is in the log. */
  sent(message: Pending, reply: SendReply): void;
  /** It will not be sent: the service does not take it. */
  failed(message: Pending, failure: Failure): void;
}

const SETTLED_MAX = 1000; // a storage is read in less time than other tabs send so many

export class Outbox {
  private readonly known = new Map<string, Pending>();
  private readonly lines = new Map<string, Promise<unknown>>();
  /** Told of by other tabs while the storage was being read, or later: what was read of them is no longer true. */
  private readonly settled = new Set<string>();
  private order = Date.now();
  /** The last message put into the storage. */
  private storing: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly keeper: Keeper,
    private readonly storage: Promise<Storage>,
    private readonly told: Told,
    private readonly siblings?: Siblings,
  ) {}

  /** What is on its way, in the order it was written. */
  pending(room?: string): Pending[] {
    return [...this.known.values()].filter((message) => room === undefined || message.room === room).sort((a, b) => a.order - b.order);
  }

  /** Resolves when the message is in the log. A promise nobody waits for is fine: `failed` tells the same. */
  send(room: string, text: string, replyTo: number, clientId: string): Promise<SendReply> {
    // Later than everything before it, also of an earlier load: time orders those.
    this.order = Math.max(this.order + 1, Date.now());
    return this.enqueue({clientId, room, text, replyTo, atMs: Date.now(), order: this.order, ...this.mine()});
  }

  /** Take up what an earlier load, or a tab that is gone, left behind. */
  async adopt(): Promise<void> {
    await this.siblings?.ready;
    const left = await (await this.storage).pending().catch(() => []);
    for (const message of left) {
      if (this.known.has(message.clientId) || this.settled.has(message.clientId) || this.keeper.over) continue;
      if (this.siblings && message.by !== undefined) this.hear({message, of: "pending"});
      else this.takeUp(message);
    }
  }

  /** Another tab tells of a message of its own. */
  hear(news: News): void {
    const {message} = news;
    if (news.of === "pending") {
      this.show(message);
      const {by} = message;
      if (by !== undefined) this.siblings?.whenGone(by, () => this.inherit(by));
    } else {
      if (this.settled.size >= SETTLED_MAX) this.settled.clear();
      this.settled.add(message.clientId);
      if (!this.known.delete(message.clientId)) return;
      if (news.of === "sent") this.told.sent(message, news.reply);
      else this.told.failed(message, news.failure);
    }
  }

  /** What the tab `by` has left is mine now: what it stored, and what it only told of. */
  private async inherit(by: string): Promise<void> {
    const stored = await (await this.storage).pending().catch(() => []);
    const left = new Map([...stored, ...this.known.values()].filter((message) => message.by === by).map((message) => [message.clientId, message]));
    if (this.keeper.over) return;
    for (const message of [...left.values()].sort((a, b) => a.order - b.order)) this.takeUp(message);
    // The next tab that waits for `by` must find them as mine.
    await this.storing;
  }

  private takeUp(message: Pending): void {
    this.enqueue({...message, ...this.mine()}).catch(() => undefined);
  }

  private mine(): {by?: string} {
    return this.siblings ? {by: this.siblings.me} : {};
  }

  private show(message: Pending): void {
    const {clientId} = message;
    const before = this.known.get(clientId);
    this.known.set(clientId, message);
    if (!before) this.told.pending(message);
  }

  private enqueue(message: Pending): Promise<SendReply> {
    this.show(message);
    this.siblings?.tell({message, of: "pending"});
    const stored = (this.storing = this.storage.then((storage) => storage.putPending(message)).catch(() => undefined));
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
      this.siblings?.tell({message, of: "sent", reply});
      await this.done(message);
      this.told.sent(message, reply);
      return reply;
    } catch (error) {
      // A client that is closed or refused leaves its messages to the next one.
      if (!this.keeper.over) {
        this.siblings?.tell({message, of: "failed", failure: error as Failure});
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
