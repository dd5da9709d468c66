/** The open rooms: to look at, and to join. `general` comes first, then the ones with most members. */
import "./discover.css";
import {effect, signal} from "@preact/signals";
import type {RoomState} from "@tidings/client";
import {useEffect} from "preact/hooks";
import {roomOf} from "../model/rooms.ts";
import {Button} from "../parts/button.tsx";
import {Dialog} from "../parts/dialog.tsx";
import {RoomAvatar} from "../parts/avatar.tsx";
import {open} from "../route.ts";
import {session} from "../session.ts";
import {t} from "../words/words.ts";
import {useTask, why} from "../parts/task.ts";

const PAGE_ROOMS = 200;
const PAGES_MAX = 5;
const FIRST = "general";

const found = signal<readonly RoomState[] | undefined>(undefined);
const wrong = signal<string | undefined>(undefined);

effect(() => {
  // Another client: what the last one found is not its.
  if (session.tidings.value) found.value = undefined;
});

export function Discover({onClose}: {onClose: () => void}) {
  return (
    <Dialog title={t("open.title")} onClose={onClose}>
      <p class="soft">{t("open.lead")}</p>
      <OpenRooms onGo={onClose} />
    </Dialog>
  );
}

export function OpenRooms({onGo = () => undefined}: {onGo?: () => void}) {
  useEffect(() => void fetchRooms(), []);
  if (wrong.value !== undefined) {
    return (
      <p class="wrong" role="alert">
        {t("open.failed", {why: wrong.value})}
      </p>
    );
  }
  const rooms = found.value;
  if (!rooms) return <p role="status">{t("loading")}</p>;
  if (!rooms.length) return <p>{t("open.none")}</p>;
  return (
    <ul class="open-rooms" aria-label={t("open.title")}>
      {rooms.map((state) => (
        <OpenRoom key={state.room!.room} state={state} onGo={onGo} />
      ))}
    </ul>
  );
}

function OpenRoom({state, onGo}: {state: RoomState; onGo: () => void}) {
  const {room, title, members, kind} = state.room!;
  const task = useTask();
  const mine = roomOf(room) !== undefined;
  const go = () => {
    open(room);
    onGo();
  };
  const join = async () => {
    if (await task.run(() => session.tidings.peek()!.room(room).join())) go();
  };
  return (
    <li>
      <RoomAvatar room={{name: room, kind, other: undefined}} />
      <span class="what">
        <bdi class="cut">{title || room}</bdi>
        <span class="soft">{t("open.members", {n: members})}</span>
        {task.wrong && (
          <span class="wrong" role="alert">
            {task.wrong}
          </span>
        )}
      </span>
      <Button onClick={go} aria-label={`${t("open.look")}: ${title || room}`}>
        {t("open.look")}
      </Button>
      {!mine && (
        <Button kind="primary" disabled={task.busy} onClick={join} aria-label={`${t("open.join")}: ${title || room}`}>
          {t("open.join")}
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
    const rank = ({room}: RoomState) => (room?.room === FIRST ? -Infinity : -(room?.members ?? 0));
    wrong.value = undefined;
    found.value = all.sort((a, b) => rank(a) - rank(b));
  } catch (error) {
    if (session.tidings.peek() === client) wrong.value = why(error);
  }
}
