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
import type {ApiError} from "./errors.ts";
import type {Reconnector} from "./reconnector.ts";
import type {OutboxUpdate, TabCoordinator} from "./tab-coordinator.ts";
import type {PendingMessage, Storage} from "./storage/storage.ts";

export interface OutboxListener {
  /** Written, or found after a reload: show it as on its way. */
  pending(message: PendingMessage): void;
  /** It is in the log. */
  sent(message: PendingMessage, reply: SendReply): void;
  /** It will not be sent: the service does not take it. */
  failed(message: PendingMessage, failure: ApiError): void;
}

const SETTLED_IDS_MAX = 1000; // a storage is read in less time than other tabs send so many

export class Outbox {
  private readonly messages = new Map<string, PendingMessage>();
  private readonly sendQueues = new Map<string, Promise<unknown>>();
  /** Told of by other tabs while the storage was being read, or later: what was read of them is no longer true. */
  private readonly settledIds = new Set<string>();
  private lastOrder = Date.now();
  /** The last message put into the storage. */
  private lastWrite: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly reconnector: Reconnector,
    private readonly storage: Promise<Storage>,
    private readonly listener: OutboxListener,
    private readonly tabs?: TabCoordinator,
  ) {}

  /** What is on its way, in the order it was written. */
  pending(room?: string): PendingMessage[] {
    return [...this.messages.values()].filter((message) => room === undefined || message.room === room).sort((a, b) => a.order - b.order);
  }

  /** Resolves when the message is in the log. A promise nobody waits for is fine: `failed` tells the same. */
  send(room: string, text: string, replyTo: number, clientId: string): Promise<SendReply> {
    // Later than everything before it, also of an earlier load: time orders those.
    this.lastOrder = Math.max(this.lastOrder + 1, Date.now());
    return this.enqueue({clientId, room, text, replyTo, atMs: Date.now(), order: this.lastOrder, ...this.ownership()});
  }

  /** Take up what an earlier load, or a tab that is gone, left behind. */
  async recoverPending(): Promise<void> {
    await this.tabs?.ready;
    const left = await (await this.storage).pending().catch(() => []);
    for (const message of left) {
      if (this.messages.has(message.clientId) || this.settledIds.has(message.clientId) || this.reconnector.isClosed) continue;
      if (this.tabs && message.ownerTab !== undefined) this.onTabUpdate({message, status: "pending"});
      else this.resend(message);
    }
  }

  /** Another tab tells of a message of its own. */
  onTabUpdate(update: OutboxUpdate): void {
    const {message} = update;
    if (update.status === "pending") {
      this.track(message);
      const {ownerTab: by} = message;
      if (by !== undefined) this.tabs?.onTabGone(by, () => this.claimFrom(by));
    } else {
      if (this.settledIds.size >= SETTLED_IDS_MAX) this.settledIds.clear();
      this.settledIds.add(message.clientId);
      if (!this.messages.delete(message.clientId)) return;
      if (update.status === "sent") this.listener.sent(message, update.reply);
      else this.listener.failed(message, update.failure);
    }
  }

  /** What the tab `by` has left is mine now: what it stored, and what it only told of. */
  private async claimFrom(by: string): Promise<void> {
    const stored = await (await this.storage).pending().catch(() => []);
    const left = new Map([...stored, ...this.messages.values()].filter((message) => message.ownerTab === by).map((message) => [message.clientId, message]));
    if (this.reconnector.isClosed) return;
    for (const message of [...left.values()].sort((a, b) => a.order - b.order)) this.resend(message);
    // The next tab that waits for `by` must find them as mine.
    await this.lastWrite;
  }

  private resend(message: PendingMessage): void {
    this.enqueue({...message, ...this.ownership()}).catch(() => undefined);
  }

  private ownership(): Pick<PendingMessage, "ownerTab"> {
    return this.tabs ? {ownerTab: this.tabs.tabId} : {};
  }

  private track(message: PendingMessage): void {
    const {clientId} = message;
    const before = this.messages.get(clientId);
    this.messages.set(clientId, message);
    if (!before) this.listener.pending(message);
  }

  private enqueue(message: PendingMessage): Promise<SendReply> {
    this.track(message);
    this.tabs?.publish({message, status: "pending"});
    const stored = (this.lastWrite = this.storage.then((storage) => storage.putPending(message)).catch(() => undefined));
    const before = this.sendQueues.get(message.room) ?? Promise.resolve();
    const answer = Promise.all([before, stored]).then(() => this.deliver(message));
    const pipe = answer.catch(() => undefined);
    this.sendQueues.set(message.room, pipe);
    void pipe.then(() => {
      if (this.sendQueues.get(message.room) === pipe) this.sendQueues.delete(message.room);
    });
    return answer;
  }

  private async deliver(message: PendingMessage): Promise<SendReply> {
    const {room, clientId, text, replyTo} = message;
    try {
      const reply = await call(this.reconnector, Chat.method.send, {room, clientId, text, replyTo: BigInt(replyTo)}, Infinity);
      this.tabs?.publish({message, status: "sent", reply});
      await this.removeMessage(message);
      this.listener.sent(message, reply);
      return reply;
    } catch (error) {
      // A client that is closed or refused leaves its messages to the next one.
      if (!this.reconnector.isClosed) {
        this.tabs?.publish({message, status: "failed", failure: error as ApiError});
        await this.removeMessage(message);
        this.listener.failed(message, error as ApiError);
      }
      throw error;
    }
  }

  private async removeMessage({clientId}: PendingMessage): Promise<void> {
    this.messages.delete(clientId);
    await (await this.storage).removePending(clientId).catch(() => undefined);
  }
}
