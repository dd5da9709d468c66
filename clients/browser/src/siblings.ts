/**
 * The other tabs of this account: what one of them writes is shown in all, and one that is gone leaves its messages to them.
 *
 * Each tab holds a Web Lock of its own as long as it lives; whoever waits for that lock is told when it is gone, however it
 * went. Where there are no locks there are no siblings: each tab then takes up what it finds when it connects.
 */
import {toBinary, fromBinary} from "@bufbuild/protobuf";
import {Failure} from "./errors.ts";
import {type SendReply, SendReplySchema} from "./gen/tidings/v1/chat_pb.ts";
import {type Held, holdLock, type Locks} from "./locks.ts";
import type {Pending} from "./storage/storage.ts";

/** What a tab tells the others of a message. */
export type News =
  | {readonly message: Pending; readonly of: "pending"}
  | {readonly message: Pending; readonly of: "sent"; readonly reply: SendReply}
  | {readonly message: Pending; readonly of: "failed"; readonly failure: Failure};

/** The same, as it crosses to another tab. */
type Told = {message: Pending; of: "pending"} | {message: Pending; of: "sent"; reply: Uint8Array} | {message: Pending; of: "failed"; code: number; text: string};

export class Siblings {
  private readonly living: Held;
  private readonly air: BroadcastChannel;
  private readonly awaited = new Set<string>();

  constructor(
    key: string,
    private readonly locks: Locks,
    hear: (news: News) => void,
  ) {
    this.living = holdLock(locks, "tab");
    this.air = new BroadcastChannel(`tidings outbox ${key}`);
    this.air.onmessage = ({data}: MessageEvent<Told>) => hear(read(data));
  }

  /** From now on this tab does not count as gone. */
  get ready(): Promise<unknown> {
    return this.living.held;
  }

  /** The name of this tab. */
  get me(): string {
    return this.living.name;
  }

  tell(news: News): void {
    this.air.postMessage(write(news));
  }

  /** Run `then` when that tab is gone; one tab after the other does. */
  whenGone(tab: string, then: () => Promise<void>): void {
    if (tab === this.me || this.awaited.has(tab)) return;
    this.awaited.add(tab);
    void this.locks.request(tab, {}, async () => {
      this.awaited.delete(tab);
      await then();
    });
  }

  close(): void {
    this.air.close();
    this.living.release();
  }
}

function write(news: News): Told {
  const {message} = news;
  if (news.of === "sent") return {message, of: "sent", reply: toBinary(SendReplySchema, news.reply)};
  if (news.of === "failed") return {message, of: "failed", code: news.failure.code, text: news.failure.text};
  return {message, of: "pending"};
}

function read(told: Told): News {
  const {message} = told;
  if (told.of === "sent") return {message, of: "sent", reply: fromBinary(SendReplySchema, told.reply)};
  if (told.of === "failed") return {message, of: "failed", failure: new Failure(told.code, told.text)};
  return {message, of: "pending"};
}
