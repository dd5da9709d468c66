/** The others in a room: who is typing, and how far each has come. Without a network it is what was known last. */
import {computed, signal} from "@preact/signals";
import type {TidingsClient} from "@tidings/client";

export interface ReadPosition {
  readonly delivered: number;
  readonly read: number;
}

export type DeliveryState = "nobody" | "delivered" | "read";

export class RoomActivity {
  /** In order of arrival, without me. */
  readonly typing = signal<readonly string[]>([]);
  /** By user, without me. Empty in a room so large that only counts are serverConfig. */
  readonly positions = signal<ReadonlyMap<string, ReadPosition>>(new Map());
  /** My own mark, as the service has it; undefined: not serverConfig yet, or not kept (I am no member). */
  readonly ownPosition = signal<ReadPosition | undefined>(undefined);
  /** The furthest marks of anybody else. */
  readonly furthestPosition = computed<ReadPosition>(() => {
    let [delivered, read] = [0, 0];
    for (const mark of this.positions.value.values()) {
      delivered = Math.max(delivered, mark.delivered);
      read = Math.max(read, mark.read);
    }
    return {delivered, read};
  });
  /** Resolves when everybody's marks of now are here, or when they will not come. */
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

  /** What became of my message of this number. */
  deliveryOf(seq: number): DeliveryState {
    const {delivered, read} = this.furthestPosition.value;
    return seq <= read ? "read" : seq <= delivered ? "delivered" : "nobody";
  }

  /** Who has read it. */
  readers(seq: number): string[] {
    return [...this.positions.value].filter(([, {read}]) => read >= seq).map(([user]) => user);
  }

  /** Whoever has just written is not typing any more, even if that news comes later. */
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
        const mark = {delivered: Number(item.value.delivered), read: Number(item.value.read)};
        if (user === this.me) this.ownPosition.value = mark;
        else this.positions.value = new Map(this.positions.peek()).set(user, mark);
      }
    } catch {
      // The room's own watch says why.
      this.typing.value = [];
    }
    loaded();
  }
}
