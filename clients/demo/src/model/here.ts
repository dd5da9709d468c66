/** How many of the open room's members are here now. */
import {computed, effect, type ReadonlySignal, signal} from "@preact/signals";
import {Status, type Tidings} from "@tidings/client";
import {chosen} from "../route.ts";
import {session} from "../session.ts";

export interface Here {
  readonly room: string;
  readonly online: number;
}

const found = signal<Here | undefined>(undefined);
const room = computed(() => chosen.value?.room);

/** Of the room that is open; undefined until it is known. */
export const here: ReadonlySignal<Here | undefined> = found;

effect(() => {
  const client = session.tidings.value;
  const name = room.value;
  found.value = undefined;
  if (!client || name === undefined) return;
  const watch = client.room(name).presence();
  void follow(name, watch);
  return () => watch.close();
});

async function follow(name: string, watch: ReturnType<ReturnType<Tidings["room"]>["presence"]>): Promise<void> {
  const present = new Set<string>();
  let complete = false;
  const tell = (online: number) => {
    if (room.peek() === name) found.value = {room: name, online};
  };
  try {
    for await (const {item} of watch) {
      if (item.case === "user") {
        if (item.value.status === Status.OFFLINE) present.delete(item.value.user);
        else present.add(item.value.user);
      } else if (item.case === "live") complete = true;
      else if (item.case === "count") tell(item.value.online);
      if (complete && item.case !== "count") tell(present.size);
    }
  } catch {
    // Not a room of mine: the room's page says so.
  }
}
