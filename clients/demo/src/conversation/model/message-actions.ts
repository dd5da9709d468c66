/** My changes to existing messages: shown at once, and reverted if the service rejects them. */
import {signal} from "@preact/signals";
import {ApiError, type Room} from "@tidings/client";
import {type Message, withReaction} from "./message.ts";

const ERROR_SHOWN_MS = 8_000;

export class MessageActions {
  /** The error text of the last failed action. Cleared after a few seconds. */
  readonly error = signal("");

  constructor(
    private readonly room: Room,
    private readonly me: string,
    private readonly findMessage: (seq: number) => Message | undefined,
    private readonly updateMessage: (seq: number, change: (message: Message) => Message) => void,
  ) {}

  /** Rejects with the service's error; then the page shows the old text again. */
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

  /** Add my reaction, or remove it. */
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

  /** Report that I am typing, or stopped. Errors are ignored. */
  typing(stopped: boolean): void {
    void this.room.typing({stopped}).catch(() => undefined);
  }

  showError(error: unknown): void {
    const text = error instanceof ApiError ? error.text : String(error);
    this.error.value = text;
    setTimeout(() => this.error.peek() === text && (this.error.value = ""), ERROR_SHOWN_MS);
  }
}
