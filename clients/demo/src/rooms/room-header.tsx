/** The header of a room: title, presence, and the menu. */
import {RoomKind} from "@tidings/client";
import {onlineCount} from "../presence/online-count.ts";
import {setMuted, roomOf, type RoomView} from "./rooms.ts";
import {RoomAvatar} from "../components/avatar.tsx";
import {Button, IconButton} from "../components/button.tsx";
import {Menu, type MenuItem} from "../components/menu.tsx";
import {PresenceLine} from "../components/presence.tsx";
import {openList} from "../navigation/route.ts";
import {session} from "../session/session.ts";
import {t} from "../i18n/i18n.ts";
import {activeDialog, activePanel, togglePanel} from "../navigation/overlays.ts";

type RoomSummary = Pick<RoomView, "title" | "kind" | "peer" | "members" | "muted">;

export function RoomHeader({name, room}: {name: string; room: RoomSummary | undefined}) {
  const {title = name, kind = RoomKind.GROUP, peer, muted = false} = room ?? {};
  const mine = roomOf(name) !== undefined;
  const items: MenuItem[] = [
    {text: t("head.search"), icon: "search", onSelect: () => (activeDialog.value = {what: "search", room: name})},
    {text: t("keys.members"), icon: "people", onSelect: () => (activePanel.value = "members")},
    {text: t("keys.inspector"), icon: "inspector", onSelect: () => (activePanel.value = "inspector")},
  ];
  if (mine) {
    items.push({text: t(muted ? "head.unmute" : "head.mute"), icon: muted ? "bell" : "bellOff", onSelect: () => setMuted(name, !muted)});
    const direct = kind === RoomKind.DIRECT;
    items.push({text: t(direct ? "head.hide" : "head.leave"), icon: "leave", isDangerous: !direct, onSelect: () => (activeDialog.value = {what: "leave", room: name})});
  }
  return (
    <header class="head">
      <span class="back">
        <IconButton icon="back" label={t("head.back")} onClick={openList} />
      </span>
      <button type="button" class="who" onClick={() => togglePanel("members")} aria-expanded={activePanel.value === "members"} title={t("head.details")}>
        <RoomAvatar room={{name, kind, peer}} />
        <span>
          <h1 class="truncated">
            <bdi>{title}</bdi>
          </h1>
          <span class="sub truncated">{room && <RoomSubtitle name={name} room={room} />}</span>
        </span>
      </button>
      <span class="narrow-hidden">
        <IconButton icon="search" label={t("head.search")} onClick={() => (activeDialog.value = {what: "search", room: name})} />
      </span>
      <span class="narrow-hidden">
        <IconButton icon="people" label={t("head.details")} aria-pressed={activePanel.value === "members"} onClick={() => togglePanel("members")} />
      </span>
      <span class="narrow-hidden">
        <Button kind="bare" icon="inspector" aria-label={t("head.inspector")} title={t("head.inspector")} aria-pressed={activePanel.value === "inspector"} onClick={() => togglePanel("inspector")}>
          {t("head.inspectorShort")}
        </Button>
      </span>
      <Menu label={t("head.more")} items={items} />
    </header>
  );
}

function RoomSubtitle({name, room}: {name: string; room: RoomSummary}) {
  if (room.peer !== undefined) return <PresenceLine user={room.peer} />;
  const online = onlineCount.value?.room === name && session.state.value === "online" ? onlineCount.value.online : undefined;
  const parts = [t("head.members", {n: room.members})];
  if (online !== undefined) parts.push(t("head.online", {n: online}));
  if (room.kind === RoomKind.OPEN) parts.unshift(t("head.open"));
  return <>{parts.join(" · ")}</>;
}
