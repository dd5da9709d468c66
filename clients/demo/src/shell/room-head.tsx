/** Above a conversation: whom or what it is about, who is here, and what can be done. */
import {RoomKind} from "@tidings/client";
import {here} from "../model/here.ts";
import {mute, roomOf, type RoomView} from "../model/rooms.ts";
import {RoomAvatar} from "../parts/avatar.tsx";
import {Button, IconButton} from "../parts/button.tsx";
import {Menu, type MenuItem} from "../parts/menu.tsx";
import {PresenceLine} from "../parts/presence.tsx";
import {home} from "../route.ts";
import {session} from "../session.ts";
import {t} from "../words/words.ts";
import {opened, panel, turn} from "./shown.ts";

type Shown = Pick<RoomView, "title" | "kind" | "other" | "members" | "muted">;

export function Head({name, room}: {name: string; room: Shown | undefined}) {
  const {title = name, kind = RoomKind.GROUP, other, muted = false} = room ?? {};
  const mine = roomOf(name) !== undefined;
  const items: MenuItem[] = [
    {text: t("head.search"), icon: "search", do: () => (opened.value = {what: "search", room: name})},
    {text: t("keys.members"), icon: "people", do: () => (panel.value = "members")},
    {text: t("keys.wire"), icon: "wire", do: () => (panel.value = "wire")},
  ];
  if (mine) {
    items.push({text: t(muted ? "head.unmute" : "head.mute"), icon: muted ? "bell" : "bellOff", do: () => mute(name, !muted)});
    const direct = kind === RoomKind.DIRECT;
    items.push({text: t(direct ? "head.hide" : "head.leave"), icon: "leave", danger: !direct, do: () => (opened.value = {what: "leave", room: name})});
  }
  return (
    <header class="head">
      <span class="back">
        <IconButton icon="back" label={t("head.back")} onClick={home} />
      </span>
      <button type="button" class="who" onClick={() => turn("members")} aria-expanded={panel.value === "members"} title={t("head.details")}>
        <RoomAvatar room={{name, kind, other}} />
        <span>
          <h1 class="cut">
            <bdi>{title}</bdi>
          </h1>
          <span class="sub cut">{room && <Sub name={name} room={room} />}</span>
        </span>
      </button>
      <span class="narrow-hidden">
        <IconButton icon="search" label={t("head.search")} onClick={() => (opened.value = {what: "search", room: name})} />
      </span>
      <span class="narrow-hidden">
        <IconButton icon="people" label={t("head.details")} aria-pressed={panel.value === "members"} onClick={() => turn("members")} />
      </span>
      <span class="narrow-hidden">
        <Button kind="bare" icon="wire" aria-label={t("head.wire")} title={t("head.wire")} aria-pressed={panel.value === "wire"} onClick={() => turn("wire")}>
          {t("head.wireShort")}
        </Button>
      </span>
      <Menu label={t("head.more")} items={items} />
    </header>
  );
}

function Sub({name, room}: {name: string; room: Shown}) {
  if (room.other !== undefined) return <PresenceLine user={room.other} />;
  const online = here.value?.room === name && session.state.value === "online" ? here.value.online : undefined;
  const told = [t("head.members", {n: room.members})];
  if (online !== undefined) told.push(t("head.online", {n: online}));
  if (room.kind === RoomKind.OPEN) told.unshift(t("head.open"));
  return <>{told.join(" · ")}</>;
}
