/** What the tab says: how much is unread, and where one is. */
import {effect} from "@preact/signals";
import {roomOf, rooms} from "../model/rooms.ts";
import {chosen} from "../route.ts";
import {session} from "../session.ts";
import {locale, t} from "../words/words.ts";

effect(() => {
  document.documentElement.lang = locale();
});

effect(() => {
  const inside = session.inside.value;
  const unread = inside ? rooms.value.reduce((sum, room) => sum + (room.muted ? 0 : room.unread), 0) : 0;
  const room = inside && chosen.value ? roomOf(chosen.value.room) : undefined;
  document.title = `${unread ? `(${unread > 99 ? "99+" : unread}) ` : ""}${room ? `${room.title} · ` : ""}${t("name")}`;
});
