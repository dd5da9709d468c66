/** The list of my rooms, with the newest message and the unread count of each. */
import "./room-list.css";
import {useRef, useState} from "preact/hooks";
import {type RoomView, rooms, roomsComplete} from "./rooms.ts";
import {Avatar, RoomAvatar} from "../components/avatar.tsx";
import {Button, IconButton} from "../components/button.tsx";
import {Icon} from "../components/icon.tsx";
import {Menu} from "../components/menu.tsx";
import {Time} from "../components/time.tsx";
import {currentRoute, openRoom} from "../navigation/route.ts";
import {session, signOut} from "../session/session.ts";
import {t} from "../i18n/i18n.ts";
import {oneLine} from "../conversation/text.ts";
import {previewOf} from "./previews.ts";
import {OpenRooms} from "./open-rooms.tsx";
import {activeDialog, togglePanel} from "../navigation/overlays.ts";

const PREVIEW_CHARS_MAX = 120; // more than any width shows
const UNREAD_MAX = 9_999; // the service counts up to 10,000
const ENTRIES_STEP = 200; // shown at once; "More" and the filter show the others
const FILTER_ROOMS_MIN = 8; // fewer rooms need no filter

export function RoomList() {
  const [filter, setFilter] = useState("");
  const [most, setMost] = useState(ENTRIES_STEP);
  const list = useRef<HTMLUListElement>(null);
  const query = filter.trim().toLocaleLowerCase();
  const found = rooms.value.filter(({title, name}) => !query || title.toLocaleLowerCase().includes(query) || name.toLocaleLowerCase().includes(query));
  const shown = found.slice(0, most);
  const entries = () => [...(list.current?.querySelectorAll<HTMLElement>("a") ?? [])];

  const move = (event: KeyboardEvent) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const all = entries();
    const at = all.indexOf(document.activeElement as HTMLElement);
    const to = {ArrowDown: Math.min(at + 1, all.length - 1), ArrowUp: Math.max(at - 1, 0), Home: 0, End: all.length - 1}[event.key];
    if (to === undefined) return;
    event.preventDefault();
    all[to]?.focus();
  };
  const fromFilter = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown") entries()[0]?.focus();
    else if (event.key === "Enter" && shown[0]) openRoom(shown[0].name);
    else if (event.key === "Escape" && filter) setFilter("");
    else return;
    event.preventDefault();
  };
  return (
    <nav class="rooms" aria-label={t("rooms.title")}>
      <header>
        <AccountBar />
        <IconButton icon="search" label={t("search.title")} onClick={() => (activeDialog.value = {what: "search"})} />
        <IconButton icon="plus" label={t("rooms.new")} onClick={() => (activeDialog.value = {what: "new"})} />
      </header>
      {rooms.value.length >= FILTER_ROOMS_MIN && (
        <input
          class="input filter"
          type="search"
          value={filter}
          placeholder={t("rooms.filter")}
          aria-label={t("rooms.filter")}
          dir="auto"
          onInput={(event) => setFilter(event.currentTarget.value)}
          onKeyDown={fromFilter}
        />
      )}
      <div class="list">
        <ul ref={list} onKeyDown={move}>
          {shown.map((room, index) => (
            <RoomEntry key={room.name} room={room} isTabStop={room.name === currentRoute.value?.room || (index === 0 && !shown.some(({name}) => name === currentRoute.value?.room))} />
          ))}
        </ul>
        {found.length > most && (
          <Button kind="bare" onClick={() => setMost(most + ENTRIES_STEP)}>
            {t("more")}
          </Button>
        )}
        {!shown.length && <EmptyList filtered={query !== ""} />}
      </div>
      <footer>
        <Button kind="bare" icon="hash" onClick={() => (activeDialog.value = {what: "discover"})}>
          {t("rooms.discover")}
        </Button>
      </footer>
    </nav>
  );
}

function AccountBar() {
  const me = session.me.value;
  return (
    <>
      <button type="button" class="me" onClick={() => (activeDialog.value = {what: "settings"})}>
        <Avatar user={me} size="small" dot />
        <bdi class="truncated">{me}</bdi>
        <span class="visually-hidden">{t("settings.open")}</span>
      </button>
      <Menu
        label={t("more")}
        items={[
          {text: t("settings.title"), icon: "gear", onSelect: () => (activeDialog.value = {what: "settings"})},
          {text: t("keys.title"), icon: "keys", onSelect: () => (activeDialog.value = {what: "help"})},
          {text: t("keys.inspector"), icon: "inspector", onSelect: () => togglePanel("inspector")},
          {text: t("about.title"), icon: "info", onSelect: () => (activeDialog.value = {what: "about"})},
          {text: t("settings.signout"), icon: "leave", onSelect: signOut},
        ]}
      />
    </>
  );
}

/** A link, so that "open in a new tab" works. Tab reaches one entry, the arrow keys reach the others. */
function RoomEntry({room, isTabStop}: {room: RoomView; isTabStop: boolean}) {
  const {name, title, unread, last, muted, activeMs, isNew} = room;
  const isOpen = currentRoute.value?.room === name;
  return (
    <li>
      <a href={`#/${encodeURIComponent(name)}`} class={unread || isNew ? "entry unread" : "entry"} aria-current={isOpen ? "page" : undefined} tabIndex={isTabStop ? 0 : -1}>
        <RoomAvatar room={room} />
        <span class="line">
          <bdi class="title truncated">{title}</bdi>
          {last && <Time atMs={activeMs} />}
        </span>
        <span class="line">
          <span class="last truncated">
            <Preview room={room} />
          </span>
          {muted && (
            <span class="muted" title={t("rooms.muted")}>
              <Icon name="bellOff" size={14} />
              <span class="visually-hidden">{t("rooms.muted")}</span>
            </span>
          )}
          {isNew && <span class="new">{t("rooms.new.mark")}</span>}
          {unread > 0 && (
            <span class={muted ? "badge muted" : "badge"}>
              <span aria-hidden="true">{unread > UNREAD_MAX ? t("rooms.many") : unread}</span>
              <span class="visually-hidden">{t("rooms.unread", {n: unread})}</span>
            </span>
          )}
        </span>
      </a>
    </li>
  );
}

function Preview({room}: {room: RoomView}) {
  const {peer} = room;
  const last = previewOf(room);
  if (!last) return <>{t("rooms.empty")}</>;
  if (last.deleted) return <i>{t("rooms.deleted")}</i>;
  const mine = last.actor === session.me.value;
  const who = mine ? t("rooms.you") : last.actor;
  // In a direct room the author is clear, unless it was me.
  return (
    <>
      {(mine || peer === undefined) && (
        <>
          <bdi>{who}</bdi>:{" "}
        </>
      )}
      <bdi>{oneLine(last.text, PREVIEW_CHARS_MAX)}</bdi>
    </>
  );
}

function EmptyList({filtered}: {filtered: boolean}) {
  if (filtered) return <p class="none">{t("rooms.noMatch")}</p>;
  if (!roomsComplete.value) return <p class="none">{t("loading")}</p>;
  return (
    <div class="none">
      <p>{t("rooms.none")}</p>
      <div class="begin">
        <Button kind="primary" icon="plus" onClick={() => (activeDialog.value = {what: "new"})}>
          {t("rooms.new")}
        </Button>
        <OpenRooms />
      </div>
    </div>
  );
}
