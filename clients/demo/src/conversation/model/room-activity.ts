/** The activity of other members: who is typing, and their read positions. Offline it is the last known state. */
import {computed, signal} from "@preact/signals";
import type {TidingsClient} from "@tidings/client";

export interface ReadPosition {
  readonly delivered: number;
  readonly read: number;
}

export type DeliveryState = "sent" | "delivered" | "read";

export class RoomActivity {
  /** In order of arrival, without this user. */
  readonly typing = signal<readonly string[]>([]);
  /** By user, without this user. Empty in a large room, for which the service sends only counts. */
  readonly positions = signal<ReadonlyMap<string, ReadPosition>>(new Map());
  /** My own position, as the service has it; undefined: not received yet, or not kept because I am not a member. */
  readonly ownPosition = signal<ReadPosition | undefined>(undefined);
  /** The furthest positions of other members. */
  readonly furthestPosition = computed<ReadPosition>(() => {
    let [delivered, read] = [0, 0];
    for (const position of this.positions.value.values()) {
      delivered = Math.max(delivered, position.delivered);
      read = Math.max(read, position.read);
    }
    return {delivered, read};
  });
  /** Resolves when the positions of all members are here, or will not arrive. */
  readonly loaded: Promise<void>;
  private readonly watch;

  constructor(
    tidings: TidingsClient,
    room: string,
    private readonly me: string,
  ) {
    this.watch = tidings.room(room).presence();
    this.loaded = new Promise((resolve) => void this.follow(resolve));
  }

  /** The delivery state of my message with this seq. */
  deliveryOf(seq: number): DeliveryState {
    const {delivered, read} = this.furthestPosition.value;
    return seq <= read ? "read" : seq <= delivered ? "delivered" : "sent";
  }

  /** The users who have read it. */
  readers(seq: number): string[] {
    return [...this.positions.value].filter(([, {read}]) => read >= seq).map(([user]) => user);
  }

  /** A user who has just sent a message is not typing, even if that update arrives later. */
  onWrote(user: string): void {
    if (this.typing.peek().includes(user)) this.typing.value = this.typing.peek().filter((name) => name !== user);
  }

  stop(): void {
    this.watch.close();
  }

  private async follow(loaded: () => void): Promise<void> {
    try {
      for await (const {item} of this.watch) {
        if (item.case === "typing") this.typing.value = item.value.users.filter((user) => user !== this.me);
        if (item.case === "live") loaded();
        if (item.case !== "receipt") continue;
        const {user} = item.value;
        const position = {delivered: Number(item.value.delivered), read: Number(item.value.read)};
        if (user === this.me) this.ownPosition.value = position;
        else this.positions.value = new Map(this.positions.peek()).set(user, position);
      }
    } catch {
      // The watch of the room reports the error.
      this.typing.value = [];
    }
    loaded();
  }
}
