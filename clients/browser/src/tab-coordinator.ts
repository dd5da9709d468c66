/**
 * The other tabs of this account: what one of them writes is shown in all, and one that is gone leaves its messages to them.
 *
 * Each tab holds a Web Lock of its own as long as it lives; whoever waits for that lock is told when it is gone, however it
 * went. Where there are no locks there are no other tabs: each tab then takes up what it finds when it connects.
 */
import {toBinary, fromBinary} from "@bufbuild/protobuf";
import {ApiError} from "./errors.ts";
import {type SendReply, SendReplySchema} from "./gen/tidings/v1/chat_pb.ts";
import {type HeldLock, acquireOwnLock, type LockManagerLike} from "./locks.ts";
import type {PendingMessage} from "./storage/storage.ts";

/** What a tab tells the others of a message. */
export type OutboxUpdate =
  | {readonly message: PendingMessage; readonly status: "pending"}
  | {readonly message: PendingMessage; readonly status: "sent"; readonly reply: SendReply}
  | {readonly message: PendingMessage; readonly status: "failed"; readonly failure: ApiError};

/** The same, as it crosses to another tab. */
type OutboxUpdateMessage = {message: PendingMessage; status: "pending"} | {message: PendingMessage; status: "sent"; reply: Uint8Array} | {message: PendingMessage; status: "failed"; code: number; text: string};

export class TabCoordinator {
  private readonly ownLock: HeldLock;
  private readonly channel: BroadcastChannel;
  private readonly watchedTabs = new Set<string>();

  constructor(
    key: string,
    private readonly locks: LockManagerLike,
    hear: (news: OutboxUpdate) => void,
  ) {
    this.ownLock = acquireOwnLock(locks, "tab");
    this.channel = new BroadcastChannel(`tidings outbox ${key}`);
    this.channel.onmessage = ({data}: MessageEvent<OutboxUpdateMessage>) => hear(decodeUpdate(data));
  }

  /** From now on this tab does not count as gone. */
  get ready(): Promise<unknown> {
    return this.ownLock.acquired;
  }

  /** The name of this tab. */
  get tabId(): string {
    return this.ownLock.name;
  }

  publish(news: OutboxUpdate): void {
    this.channel.postMessage(encodeUpdate(news));
  }

  /** Run `then` when that tab is gone; one tab after the other does. */
  onTabGone(tab: string, then: () => Promise<void>): void {
    if (tab === this.tabId || this.watchedTabs.has(tab)) return;
    this.watchedTabs.add(tab);
    void this.locks.request(tab, {}, async () => {
      this.watchedTabs.delete(tab);
      await then();
    });
  }

  close(): void {
    this.channel.close();
    this.ownLock.release();
  }
}

function encodeUpdate(news: OutboxUpdate): OutboxUpdateMessage {
  const {message} = news;
  if (news.status === "sent") return {message, status: "sent", reply: toBinary(SendReplySchema, news.reply)};
  if (news.status === "failed") return {message, status: "failed", code: news.failure.code, text: news.failure.text};
  return {message, status: "pending"};
}

function decodeUpdate(told: OutboxUpdateMessage): OutboxUpdate {
  const {message} = told;
  if (told.status === "sent") return {message, status: "sent", reply: fromBinary(SendReplySchema, told.reply)};
  if (told.status === "failed") return {message, status: "failed", failure: new ApiError(told.code, told.text)};
  return {message, status: "pending"};
}
