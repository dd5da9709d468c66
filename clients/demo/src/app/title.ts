/** The title of the tab: the number of unread messages, and the open room. */
import {effect} from "@preact/signals";
import {roomOf, rooms} from "../rooms/rooms.ts";
import {currentRoute} from "../navigation/route.ts";
import {session} from "../session/session.ts";
import {locale, t} from "../i18n/i18n.ts";

effect(() => {
  document.documentElement.lang = locale();
});

effect(() => {
  const isSignedIn = session.isSignedIn.value;
  const unread = isSignedIn ? rooms.value.reduce((sum, room) => sum + (room.muted ? 0 : room.unread), 0) : 0;
  const room = isSignedIn && currentRoute.value ? roomOf(currentRoute.value.room) : undefined;
  document.title = `${unread ? `(${unread > 99 ? "99+" : unread}) ` : ""}${room ? `${room.title} · ` : ""}${t("name")}`;
});
