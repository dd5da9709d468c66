/**
 * What is between a room's head and the bottom of the page.
 *
 *     <Conversation room="general" jump={123n} />
 *
 * `model/` knows what is said in the room and nothing of the page; `timeline/` shows it, `composer/` adds to it.
 */
import {computed, effect, useSignal} from "@preact/signals";
import {type Event, RoomKind, type Tidings} from "@tidings/client";
import {useEffect, useMemo, useRef} from "preact/hooks";
import {roomOf} from "../model/rooms.ts";
import {Button} from "../parts/button.tsx";
import {sentence} from "../parts/sentence.ts";
import {chosen} from "../route.ts";
import {session} from "../session.ts";
import {pauseMeasuring, shown} from "../wire/latency.ts";
import {pace} from "../wire/pace.ts";
import {t} from "../words/words.ts";
import {Composer, writeInto} from "./composer/composer.tsx";
import "./conversation.css";
import type {Desk, Open, Purpose} from "./desk.ts";
import {Marking} from "./model/marking.ts";
import {Talk} from "./model/talk.ts";
import {oneLine} from "./text.ts";
import {Timeline} from "./timeline/timeline.tsx";
import {TypingLine} from "./typing.tsx";

const HIDDEN_FRAME_MS = 250; // a page that nobody sees is not painted, and its title still counts
const HEARD_CHARS_MAX = 300;

// What was missed while there was no connection comes afterwards, and did not take that long.
effect(() => pauseMeasuring("not connected", session.state.value !== "online"));

interface Props {
  room: string;
  /** What the room is called where it is none of mine. */
  title?: string;
  jump?: bigint;
}

export function Conversation({room, title = room, jump}: Props) {
  const tidings = session.tidings.value;
  return tidings ? <Talking key={room} tidings={tidings} room={room} called={title} {...(jump !== undefined && {jump: Number(jump)})} /> : null;
}

function Talking({tidings, room, called, jump}: {tidings: Tidings; room: string; called: string; jump?: number}) {
  const me = session.me.value;
  const talk = useMemo(() => new Talk(tidings, room, surroundings(me, room), jump), [tidings, room]);
  const marking = useMemo(() => new Marking(tidings, room, talk.others.told), [tidings, room]);
  const box = useRef<HTMLTextAreaElement>(null);
  const open = useSignal<Open | undefined>(undefined);
  const purpose = useSignal<Purpose | undefined>(undefined);
  const desk = useMemo<Desk>(
    () => ({talk, me, open, purpose, mention: (user) => box.current && writeInto(box.current, mentionAt(box.current, user)), write: () => box.current?.focus()}),
    [talk],
  );
  useEffect(
    () => () => {
      talk.stop();
      marking.stop();
    },
    [talk],
  );
  // Who has a keyboard writes at once; on a touch screen the keyboard would cover what one came to read.
  useEffect(() => {
    if (jump === undefined && matchMedia("(hover: hover) and (pointer: fine)").matches) box.current?.focus({preventScroll: true});
  }, [talk]);
  // Somebody may go to the same message twice: the route tells with a new object, not with another number.
  const opened = useRef(chosen.peek());
  useEffect(() => {
    if (chosen.value === opened.current) return;
    opened.current = chosen.value;
    if (jump && chosen.value?.room === room) talk.jump(jump);
  }, [chosen.value]);

  const title = roomOf(room)?.title ?? called;
  const {failure, heard} = talk;
  const {trouble} = talk.changes;
  if (failure.value) {
    return (
      <section class="conversation closed" aria-label={title}>
        <h2>{t("talk.closed")}</h2>
        <p>{sentence(failure.value.text)}</p>
        <Button onClick={() => talk.again()}>{t("talk.again")}</Button>
      </section>
    );
  }
  return (
    <section class="conversation" aria-label={title}>
      <Timeline desk={desk} title={title} inSight={(newest) => {
          const seen = newest && watched();
          if (seen) talk.saw(talk.to);
          marking.reached(talk.to, seen);
        }} />
      <div class="unseen" role="status" aria-live="polite">
        {heard.value && `${heard.value.actor}: ${oneLine(heard.value.text, HEARD_CHARS_MAX)}`}
      </div>
      {trouble.value && (
        <p class="trouble" role="alert">
          {sentence(trouble.value)}
        </p>
      )}
      <TypingLine talk={talk} />
      <Composer desk={desk} title={title} box={box} />
    </section>
  );
}

/** "@ada ", with a blank before it where it would touch a word. */
function mentionAt({value, selectionStart}: HTMLTextAreaElement, user: string): string {
  return `${/\S$/.test(value.slice(0, selectionStart)) ? " " : ""}@${user} `;
}

/** Somebody looks at this page. */
function watched(): boolean {
  return document.visibilityState === "visible" && document.hasFocus();
}

function surroundings(me: string, room: string) {
  const direct = computed(() => roomOf(room)?.kind === RoomKind.DIRECT);
  return {
    me,
    direct: () => direct.value,
    read: roomOf(room) && Number(roomOf(room)!.read),
    turn: () => pace.turn(),
    watched,
    frame(then: () => void) {
      if (document.hidden) setTimeout(then, HIDDEN_FRAME_MS);
      else requestAnimationFrame(then);
    },
    painted(events: readonly Event[]) {
      // A task that is put behind this frame's rendering runs after it was painted.
      requestAnimationFrame(() => {
        const {port1, port2} = new MessageChannel();
        port1.onmessage = () => events.forEach(shown);
        port2.postMessage(undefined);
      });
    },
  };
}
