/**
 * What is between a room's head and the bottom of the page.
 *
 *     <Conversation room="general" jump={123n} />
 *
 * `model/` knows what is said in the room and nothing of the page; `timeline/` shows it, `composer/` adds to it.
 */
import {computed, effect, useSignal} from "@preact/signals";
import {type Event, RoomKind, type TidingsClient} from "@tidings/client";
import {useEffect, useMemo, useRef} from "preact/hooks";
import {roomOf} from "../rooms/rooms.ts";
import {Button} from "../components/button.tsx";
import {sentence} from "../components/sentence.ts";
import {currentRoute} from "../navigation/route.ts";
import {session} from "../session/session.ts";
import {pauseMeasuring, eventPainted} from "../inspector/latency.ts";
import {readThrottle} from "../inspector/read-throttle.ts";
import {t} from "../i18n/i18n.ts";
import {Composer, insertText} from "./composer/composer.tsx";
import "./conversation.css";
import type {ConversationContext, OpenPopover, ComposerMode} from "./context.ts";
import {ReadPositionReporter} from "./model/read-position-reporter.ts";
import {ConversationModel} from "./model/conversation-model.ts";
import {oneLine} from "./text.ts";
import {Timeline} from "./timeline/timeline.tsx";
import {TypingLine} from "./typing-line.tsx";

const HIDDEN_FRAME_MS = 250; // a page that nobody sees is not painted, and its title still counts
const ANNOUNCED_CHARS_MAX = 300;

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
  return tidings ? <ConversationView key={room} tidings={tidings} room={room} called={title} {...(jump !== undefined && {jump: Number(jump)})} /> : null;
}

function ConversationView({tidings, room, called, jump}: {tidings: TidingsClient; room: string; called: string; jump?: number}) {
  const me = session.me.value;
  const conversation = useMemo(() => new ConversationModel(tidings, room, viewAdapter(me, room), jump), [tidings, room]);
  const readPositionReporter = useMemo(() => new ReadPositionReporter(tidings, room, conversation.activity.loaded), [tidings, room]);
  const box = useRef<HTMLTextAreaElement>(null);
  const open = useSignal<OpenPopover | undefined>(undefined);
  const mode = useSignal<ComposerMode | undefined>(undefined);
  const context = useMemo<ConversationContext>(
    () => ({conversation, me, popover: open, mode, mention: (user) => box.current && insertText(box.current, mentionAt(box.current, user)), focusComposer: () => box.current?.focus()}),
    [conversation],
  );
  useEffect(
    () => () => {
      conversation.stop();
      readPositionReporter.stop();
    },
    [conversation],
  );
  // Who has a keyboard writes at once; on a touch screen the keyboard would cover what one came to read.
  useEffect(() => {
    if (jump === undefined && matchMedia("(hover: hover) and (pointer: fine)").matches) box.current?.focus({preventScroll: true});
  }, [conversation]);
  // Somebody may go to the same message twice: the route tells with a new object, not with another number.
  const opened = useRef(currentRoute.peek());
  useEffect(() => {
    if (currentRoute.value === opened.current) return;
    opened.current = currentRoute.value;
    if (jump && currentRoute.value?.room === room) conversation.jumpTo(jump);
  }, [currentRoute.value]);

  const title = roomOf(room)?.title ?? called;
  const {failure, announced: heard} = conversation;
  const {error: trouble} = conversation.actions;
  if (failure.value) {
    return (
      <section class="conversation closed" aria-label={title}>
        <h2>{t("conversation.closed")}</h2>
        <p>{sentence(failure.value.text)}</p>
        <Button onClick={() => conversation.retry()}>{t("conversation.again")}</Button>
      </section>
    );
  }
  return (
    <section class="conversation" aria-label={title}>
      <Timeline context={context} title={title} inSight={(newest) => {
          const seen = newest && isPageWatched();
          if (seen) conversation.markSeen(conversation.to);
          readPositionReporter.onReached(conversation.to, seen);
        }} />
      <div class="visually-hidden" role="status" aria-live="polite">
        {heard.value && `${heard.value.actor}: ${oneLine(heard.value.text, ANNOUNCED_CHARS_MAX)}`}
      </div>
      {trouble.value && (
        <p class="trouble" role="alert">
          {sentence(trouble.value)}
        </p>
      )}
      <TypingLine conversation={conversation} />
      <Composer context={context} title={title} textarea={box} />
    </section>
  );
}

/** "@ada ", with a blank before it where it would touch a word. */
function mentionAt({value, selectionStart}: HTMLTextAreaElement, user: string): string {
  return `${/\S$/.test(value.slice(0, selectionStart)) ? " " : ""}@${user} `;
}

/** Somebody looks at this page. */
function isPageWatched(): boolean {
  return document.visibilityState === "visible" && document.hasFocus();
}

function viewAdapter(me: string, room: string) {
  const direct = computed(() => roomOf(room)?.kind === RoomKind.DIRECT);
  return {
    me,
    isDirect: () => direct.value,
    readSeq: roomOf(room) && Number(roomOf(room)!.readSeq),
    nextTurn: () => readThrottle.nextTurn(),
    isWatched: isPageWatched,isPageWatched,
    onNextFrame(then: () => void) {
      if (document.hidden) setTimeout(then, HIDDEN_FRAME_MS);
      else requestAnimationFrame(then);
    },
    onPainted(events: readonly Event[]) {
      // A request that is put behind this frame's rendering runs after it was painted.
      requestAnimationFrame(() => {
        const {port1, port2} = new MessageChannel();
        port1.onmessage = () => events.forEach(eventPainted);
        port2.postMessage(undefined);
      });
    },
  };
}
