/** The chat: rooms | conversation | panel on a wide screen; one of them at a time on a narrow one. */
import "./shell.css";
import {useEffect} from "preact/hooks";
import {IconButton} from "../parts/button.tsx";
import {chosen} from "../route.ts";
import {WirePanel} from "../wire/index.tsx";
import {t} from "../words/words.ts";
import {Banner} from "./banner.tsx";
import {onKey} from "./keys.ts";
import {Members} from "./members.tsx";
import {RoomList} from "./room-list.tsx";
import {RoomPage} from "./room-page.tsx";
import {panel} from "./shown.ts";
import {Welcome} from "./welcome.tsx";

export function Shell() {
  const where = chosen.value;
  useEffect(() => {
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  return (
    <div class={where ? "shell in-room" : "shell"}>
      <RoomList />
      <main class="place" aria-label={t("name")}>
        <Banner />
        {where ? <RoomPage key={where.room} room={where.room} jump={where.seq} /> : <Welcome />}
      </main>
      <Beside room={where?.room} />
    </div>
  );
}

function Beside({room}: {room: string | undefined}) {
  const which = panel.value;
  if (which === "wire") {
    return (
      <aside class="beside wire-beside" aria-label={t("head.wire")}>
        <IconButton icon="close" label={t("close")} onClick={() => (panel.value = undefined)} />
        <WirePanel />
      </aside>
    );
  }
  if (which === "members" && room !== undefined) return <Members key={room} room={room} />;
  return null;
}
