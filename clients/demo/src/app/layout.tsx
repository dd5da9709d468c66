/** The chat: room list | conversation | side panel on a wide screen, one of them at a time on a narrow one. */
import "./layout.css";
import {useLayoutEffect} from "preact/hooks";
import {IconButton} from "../components/button.tsx";
import {currentRoute} from "../navigation/route.ts";
import {Inspector} from "../inspector/inspector.tsx";
import {t} from "../i18n/i18n.ts";
import {ConnectionBanner} from "./connection-banner.tsx";
import {onKey} from "./keyboard.ts";
import {MembersPanel} from "../rooms/members-panel.tsx";
import {RoomList} from "../rooms/room-list.tsx";
import {RoomPage} from "../rooms/room-page.tsx";
import {activePanel} from "../navigation/overlays.ts";
import {Welcome} from "./welcome.tsx";

export function Layout() {
  const route = currentRoute.value;
  // With the first render, not after the first paint: a shortcut that follows at once must not be lost.
  useLayoutEffect(() => {
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  return (
    <div class={route ? "layout in-room" : "layout"}>
      <RoomList />
      <main class="main-pane" aria-label={t("name")}>
        <ConnectionBanner />
        {route ? <RoomPage key={route.room} room={route.room} jump={route.seq} /> : <Welcome />}
      </main>
      <SidePanel room={route?.room} />
    </div>
  );
}

function SidePanel({room}: {room: string | undefined}) {
  const which = activePanel.value;
  if (which === "inspector") {
    return (
      <aside class="side-panel inspector-panel" aria-label={t("head.inspector")}>
        <IconButton icon="close" label={t("close")} onClick={() => (activePanel.value = undefined)} />
        <Inspector />
      </aside>
    );
  }
  if (which === "members" && room !== undefined) return <MembersPanel key={room} room={room} />;
  return null;
}
