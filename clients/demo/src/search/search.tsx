/** Finds rooms by name and messages by their words. A result opens the room at that message. */
import "./search.css";
import type {Event} from "@tidings/client";
import {useEffect, useId, useRef, useState} from "preact/hooks";
import {plainText} from "../conversation/markup.ts";
import {roomOf, type RoomView, rooms, roomsComplete} from "../rooms/rooms.ts";
import {Avatar, RoomAvatar} from "../components/avatar.tsx";
import {Button} from "../components/button.tsx";
import {Dialog} from "../components/dialog.tsx";
import {Time} from "../components/time.tsx";
import {openRoom} from "../navigation/route.ts";
import {session} from "../session/session.ts";
import {t} from "../i18n/i18n.ts";
import {excerpt, searchTerms} from "./excerpt.ts";
import {useRequest, errorText} from "../components/request.ts";

const DEBOUNCE_MS = 250; // while the user types
const ROOMS_MAX = 5;
const CONTEXT_CHARS = 80;

interface SearchResults {
  readonly query: string;
  readonly events: readonly Event[];
  /** The token of the next page of older results; empty: no more. */
  readonly next: string;
}

export function Search({room, onClose}: {room?: string; onClose: () => void}) {
  const [query, setQuery] = useState("");
  const [within, setWithin] = useState(room);
  const [found, setFound] = useState<SearchResults | undefined>(undefined);
  const [error, setError] = useState<string | undefined>(undefined);
  const [isBusy, setBusy] = useState(false);
  const requestId = useRef(0);
  const results = useRef<HTMLDivElement>(null);
  const id = useId();
  const trimmed = query.trim();

  const ask = async (page: string) => {
    const mine = ++requestId.current;
    setBusy(true);
    try {
      const {events, next} = await session.tidings.peek()!.search(trimmed, {room: within ?? "", page});
      if (mine !== requestId.current) return;
      setFound((before) => ({query: trimmed, next, events: page && before ? [...before.events, ...events] : events}));
      setError(undefined);
    } catch (reason) {
      if (mine === requestId.current) setError(errorText(reason));
    }
    if (mine === requestId.current) setBusy(false);
  };
  useEffect(() => {
    requestId.current++;
    setBusy(false);
    setError(undefined);
    if (!trimmed) return setFound(undefined);
    const timer = setTimeout(() => void ask(""), DEBOUNCE_MS);
    return () => clearTimeout(timer);
  }, [trimmed, within]);
  useEffect(() => () => void requestId.current++, []);

  // The service searches only rooms that I am a member of.
  const isNonMember = within !== undefined && roomOf(within) === undefined && roomsComplete.value;
  const inRooms = trimmed && within === undefined ? roomsMatching(trimmed) : [];
  const go = (name: string, seq?: bigint) => {
    onClose();
    openRoom(name, seq);
  };
  const entries = () => [...(results.current?.querySelectorAll<HTMLElement>("button") ?? [])];
  const move = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    const all = entries();
    const at = all.indexOf(document.activeElement as HTMLElement);
    if (event.key === "ArrowDown") all[Math.min(at + 1, all.length - 1)]?.focus();
    else if (event.key === "ArrowUp" && at > 0) all[at - 1]?.focus();
    else if (event.key === "ArrowUp" && at === 0) document.getElementById(id)?.focus();
    else if (event.key === "Enter" && at < 0) all[0]?.click();
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title={t("search.title")} onClose={onClose} wide tall>
      <div class="search" onKeyDown={move}>
        <input id={id} class="input" type="search" autofocus value={query} dir="auto" autocomplete="off" placeholder={t("search.placeholder")} aria-label={t("search.placeholder")} onInput={(event) => setQuery(event.currentTarget.value)} />
        {room !== undefined && (
          <label class="check">
            <input type="checkbox" checked={within !== undefined} onChange={(event) => setWithin(event.currentTarget.checked ? room : undefined)} />
            <span dir="auto">{t("search.here", {room: roomOf(room)?.title ?? room})}</span>
          </label>
        )}
        <p class="visually-hidden" role="status">
          {found && !isBusy ? t("search.found", {n: found.events.length}) : ""}
        </p>
        <div ref={results} class={isBusy ? "results busy" : "results"}>
          {inRooms.length > 0 && <h3>{t("search.rooms")}</h3>}
          {inRooms.map((one) => (
            <button key={one.name} type="button" class="result" onClick={() => go(one.name)}>
              <RoomAvatar room={one} size="small" />
              <bdi class="truncated">{one.title}</bdi>
            </button>
          ))}
          {trimmed && session.state.value !== "online" && <p class="secondary">{t("search.offline")}</p>}
          {error && (
            <p class="error" role="alert">
              {t("search.failed", {why: error})}
            </p>
          )}
          {found && found.events.length > 0 && <h3>{t("search.messages")}</h3>}
          {found?.events.map((event) => (
            <Result key={`${event.room} ${event.seq}`} event={event} query={found.query} showRoom={within === undefined} onGo={go} />
          ))}
          {found?.next && (
            <Button disabled={isBusy} onClick={() => void ask(found.next)}>
              {t("search.more")}
            </Button>
          )}
          {isNonMember && <JoinToSearch room={within} onJoined={() => trimmed && void ask("")} />}
          {found && !isBusy && !error && !found.events.length && !inRooms.length && !isNonMember && (
            <p class="secondary" dir="auto">
              {t("search.none", {query: found.query})}
            </p>
          )}
          {!trimmed && <p class="secondary">{t("search.lead")}</p>}
        </div>
      </div>
    </Dialog>
  );
}

/** Shown when searching in a room that I am not a member of: a button to join it. */
function JoinToSearch({room, onJoined}: {room: string; onJoined: () => void}) {
  const request = useRequest();
  const join = async () => {
    if (await request.run(() => session.tidings.peek()!.room(room).join())) onJoined();
  };
  return (
    <div class="joining">
      <p class="secondary">{t("search.foreign")}</p>
      {request.error && (
        <p class="error" role="alert">
          {request.error}
        </p>
      )}
      <Button disabled={request.isBusy} onClick={() => void join()}>
        {t("head.join")}
      </Button>
    </div>
  );
}

function Result({event, query, showRoom, onGo}: {event: Event; query: string; showRoom: boolean; onGo: (room: string, seq: bigint) => void}) {
  const {room, seq, actor, atMs, what} = event;
  const text = what.case === "posted" ? what.value.text : "";
  return (
    <button type="button" class="result hit" onClick={() => onGo(room, seq)}>
      <Avatar user={actor} size="small" />
      <span class="what">
        <span class="from">
          <bdi class="truncated who">{actor}</bdi>
          {showRoom && <bdi class="truncated secondary">{roomOf(room)?.title ?? room}</bdi>}
          <Time atMs={Number(atMs)} />
        </span>
        <span class="text" dir="auto">
          {excerpt(plainText(text), searchTerms(query), CONTEXT_CHARS).map(({text: part, isMatch}) => (isMatch ? <mark>{part}</mark> : part))}
        </span>
      </span>
    </button>
  );
}

function roomsMatching(query: string): RoomView[] {
  const low = query.toLocaleLowerCase();
  return rooms.value.filter(({title, name}) => title.toLocaleLowerCase().includes(low) || name.toLocaleLowerCase().includes(low)).slice(0, ROOMS_MAX);
}
