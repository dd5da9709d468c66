/** The number of members of the open room that are online. */
import {computed, effect, type ReadonlySignal, signal} from "@preact/signals";
import {Status, type TidingsClient} from "@tidings/client";
import {currentRoute} from "../navigation/route.ts";
import {session} from "../session/session.ts";

export interface OnlineCount {
  readonly room: string;
  readonly online: number;
}

const count = signal<OnlineCount | undefined>(undefined);
const room = computed(() => currentRoute.value?.room);

/** Undefined until it is known. */
export const onlineCount: ReadonlySignal<OnlineCount | undefined> = count;

effect(() => {
  const client = session.tidings.value;
  const name = room.value;
  count.value = undefined;
  if (!client || name === undefined) return;
  const watch = client.room(name).presence();
  void follow(name, watch);
  return () => watch.close();
});

async function follow(name: string, watch: ReturnType<ReturnType<TidingsClient["room"]>["presence"]>): Promise<void> {
  const onlineUsers = new Set<string>();
  let complete = false;
  const update = (online: number) => {
    if (room.peek() === name) count.value = {room: name, online};
  };
  try {
    for await (const {item} of watch) {
      if (item.case === "user") {
        if (item.value.status === Status.OFFLINE) onlineUsers.delete(item.value.user);
        else onlineUsers.add(item.value.user);
      } else if (item.case === "live") complete = true;
      else if (item.case === "count") update(item.value.online);
      if (complete && item.case !== "count") update(onlineUsers.size);
    }
  } catch {
    // Not permitted: the room's page shows it.
  }
}
