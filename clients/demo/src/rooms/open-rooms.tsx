/** The list of open rooms, to open or join. `general` comes first, then the rooms with most members. */
import "./open-rooms.css";
import {effect, signal} from "@preact/signals";
import type {RoomState} from "@tidings/client";
import {useEffect} from "preact/hooks";
import {roomOf} from "./rooms.ts";
import {Button} from "../components/button.tsx";
import {Dialog} from "../components/dialog.tsx";
import {RoomAvatar} from "../components/avatar.tsx";
import {openRoom} from "../navigation/route.ts";
import {session} from "../session/session.ts";
import {t} from "../i18n/i18n.ts";
import {useRequest, errorText} from "../components/request.ts";

const PAGE_ROOMS = 200;
const PAGES_MAX = 5;
const PINNED_ROOM = "general";

const openRooms = signal<readonly RoomState[] | undefined>(undefined);
const fetchError = signal<string | undefined>(undefined);

effect(() => {
  // Another client: the list of the last one may differ.
  if (session.tidings.value) openRooms.value = undefined;
});

export function Discover({onClose}: {onClose: () => void}) {
  return (
    <Dialog title={t("openRooms.title")} onClose={onClose}>
      <p class="secondary">{t("openRooms.lead")}</p>
      <OpenRooms onGo={onClose} />
    </Dialog>
  );
}

export function OpenRooms({onGo = () => undefined}: {onGo?: () => void}) {
  useEffect(() => void fetchRooms(), []);
  if (fetchError.value !== undefined) {
    return (
      <p class="error" role="alert">
        {t("openRooms.failed", {why: fetchError.value})}
      </p>
    );
  }
  const rooms = openRooms.value;
  if (!rooms) return <p role="status">{t("loading")}</p>;
  if (!rooms.length) return <p>{t("openRooms.none")}</p>;
  return (
    <ul class="open-rooms" aria-label={t("openRooms.title")}>
      {rooms.map((state) => (
        <OpenRoom key={state.room!.room} state={state} onGo={onGo} />
      ))}
    </ul>
  );
}

function OpenRoom({state, onGo}: {state: RoomState; onGo: () => void}) {
  const {room, title, members, kind} = state.room!;
  const request = useRequest();
  const mine = roomOf(room) !== undefined;
  const go = () => {
    openRoom(room);
    onGo();
  };
  const join = async () => {
    if (await request.run(() => session.tidings.peek()!.room(room).join())) go();
  };
  return (
    <li>
      <RoomAvatar room={{name: room, kind, peer: undefined}} />
      <span class="what">
        <bdi class="truncated">{title || room}</bdi>
        <span class="secondary">{t("openRooms.members", {n: members})}</span>
        {request.error && (
          <span class="error" role="alert">
            {request.error}
          </span>
        )}
      </span>
      <Button onClick={go} aria-label={`${t("openRooms.look")}: ${title || room}`}>
        {t("openRooms.look")}
      </Button>
      {!mine && (
        <Button kind="primary" disabled={request.isBusy} onClick={join} aria-label={`${t("openRooms.join")}: ${title || room}`}>
          {t("openRooms.join")}
        </Button>
      )}
    </li>
  );
}

async function fetchRooms(): Promise<void> {
  const client = session.tidings.peek();
  if (!client) return;
  const all: RoomState[] = [];
  try {
    let after = "";
    for (let page = 0; page < PAGES_MAX; page++) {
      const {rooms, more} = await client.rooms.list({open: true, after, limit: PAGE_ROOMS});
      all.push(...rooms);
      after = rooms.at(-1)?.room?.room ?? "";
      if (!more) break;
    }
    const rank = ({room}: RoomState) => (room?.room === PINNED_ROOM ? -Infinity : -(room?.members ?? 0));
    fetchError.value = undefined;
    openRooms.value = all.sort((a, b) => rank(a) - rank(b));
  } catch (error) {
    if (session.tidings.peek() === client) fetchError.value = errorText(error);
  }
}
