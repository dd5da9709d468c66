/** What I change about messages that are there: seen at once, and taken back if the service does not take it. */
import {signal} from "@preact/signals";
import {ApiError, type Room} from "@tidings/client";
import {type Message, withReaction} from "./message.ts";

const ERROR_SHOWN_MS = 8_000;

export class MessageActions {
  /** Something that was asked for was not done: what the service said. It passes. */
  readonly error = signal("");

  constructor(
    private readonly room: Room,
    private readonly me: string,
    private readonly findMessage: (seq: number) => Message | undefined,
    private readonly updateMessage: (seq: number, change: (message: Message) => Message) => void,
  ) {}

  /** Rejects with the service's words; the old text is back on the page then. */
  async edit(seq: number, text: string): Promise<void> {
    const before = this.findMessage(seq);
    if (!before || before.text === text) return;
    this.updateMessage(seq, (message) => ({...message, text}));
    try {
      await this.room.edit(seq, text);
    } catch (error) {
      this.updateMessage(seq, (message) => (message.text === text ? {...message, text: before.text} : message));
      this.showError(error);
      throw error;
    }
  }

  async delete(seq: number): Promise<void> {
    try {
      await this.room.delete(seq);
      this.updateMessage(seq, (message) => ({...message, text: "", deleted: true, reactions: []}));
    } catch (error) {
      this.showError(error);
    }
  }

  /** Put my reaction on, or take it off. */
  async react(seq: number, emoji: string): Promise<void> {
    const {me} = this;
    const remove = this.findMessage(seq)?.reactions.some((reaction) => reaction.emoji === emoji && reaction.users.includes(me)) ?? false;
    this.updateMessage(seq, (message) => withReaction(message, emoji, me, remove));
    try {
      await this.room.react(seq, emoji, {remove});
    } catch (error) {
      this.updateMessage(seq, (message) => withReaction(message, emoji, me, !remove));
      this.showError(error);
    }
  }

  /** I am typing, or not any more. Nobody waits for it, and nobody misses it. */
  typing(stopped: boolean): void {
    void this.room.typing({stopped}).catch(() => undefined);
  }

  showError(error: unknown): void {
    const text = error instanceof ApiError ? error.text : String(error);
    this.error.value = text;
    setTimeout(() => this.error.peek() === text && (this.error.value = ""), ERROR_SHOWN_MS);
  }
}
