/** What I change about messages that are there: seen at once, and taken back if the service does not take it. */
import {signal} from "@preact/signals";
import {Failure, type Room} from "@tidings/client";
import {type Message, react} from "./message.ts";

const TROUBLE_SHOWN_MS = 8_000;

export class Changes {
  /** Something that was asked for was not done: what the service said. It passes. */
  readonly trouble = signal("");

  constructor(
    private readonly log: Room,
    private readonly me: string,
    private readonly message: (seq: number) => Message | undefined,
    private readonly changed: (seq: number, change: (message: Message) => Message) => void,
  ) {}

  /** Rejects with the service's words; the old text is back on the page then. */
  async edit(seq: number, text: string): Promise<void> {
    const before = this.message(seq);
    if (!before || before.text === text) return;
    this.changed(seq, (message) => ({...message, text}));
    try {
      await this.log.edit(seq, text);
    } catch (error) {
      this.changed(seq, (message) => (message.text === text ? {...message, text: before.text} : message));
      this.complain(error);
      throw error;
    }
  }

  async delete(seq: number): Promise<void> {
    try {
      await this.log.delete(seq);
      this.changed(seq, (message) => ({...message, text: "", deleted: true, reactions: []}));
    } catch (error) {
      this.complain(error);
    }
  }

  /** Put my reaction on, or take it off. */
  async react(seq: number, emoji: string): Promise<void> {
    const {me} = this;
    const remove = this.message(seq)?.reactions.some((reaction) => reaction.emoji === emoji && reaction.users.includes(me)) ?? false;
    this.changed(seq, (message) => react(message, emoji, me, remove));
    try {
      await this.log.react(seq, emoji, {remove});
    } catch (error) {
      this.changed(seq, (message) => react(message, emoji, me, !remove));
      this.complain(error);
    }
  }

  /** I am typing, or not any more. Nobody waits for it, and nobody misses it. */
  typing(stopped: boolean): void {
    void this.log.typing({stopped}).catch(() => undefined);
  }

  complain(error: unknown): void {
    const text = error instanceof Failure ? error.text : String(error);
    this.trouble.value = text;
    setTimeout(() => this.trouble.peek() === text && (this.trouble.value = ""), TROUBLE_SHOWN_MS);
  }
}
