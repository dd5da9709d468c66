/**
 * The conversation of a room: everything below the room's header.
 *
 *     <Conversation room="general" jump={123n} />
 *
 * `model/` holds its state and does not depend on the DOM; `timeline/` shows the messages, `composer/` writes them.
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

const HIDDEN_FRAME_MS = 250; // a hidden page has no frames, but its title shows the unread count
const ANNOUNCED_CHARS_MAX = 300;

// Events missed while disconnected arrive later; their delay is not latency.
effect(() => pauseMeasuring("not connected", session.state.value !== "online"));

interface Props {
  room: string;
  /** The title of a room that I am not a member of. */
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
  const popover = useSignal<OpenPopover | undefined>(undefined);
  const mode = useSignal<ComposerMode | undefined>(undefined);
  const context = useMemo<ConversationContext>(
    () => ({conversation, me, popover, mode, mention: (user) => box.current && insertText(box.current, mentionAt(box.current, user)), focusComposer: () => box.current?.focus()}),
    [conversation],
  );
  useEffect(
    () => () => {
      conversation.stop();
      readPositionReporter.stop();
    },
    [conversation],
  );
  // With a keyboard the user can type at once; on a touch screen the on-screen keyboard would cover the messages.
  useEffect(() => {
    if (jump === undefined && matchMedia("(hover: hover) and (pointer: fine)").matches) box.current?.focus({preventScroll: true});
  }, [conversation]);
  // The user may jump to the same message twice: then the route is a new object with the same seq.
  const lastRoute = useRef(currentRoute.peek());
  useEffect(() => {
    if (currentRoute.value === lastRoute.current) return;
    lastRoute.current = currentRoute.value;
    if (jump && currentRoute.value?.room === room) conversation.jumpTo(jump);
  }, [currentRoute.value]);

  const title = roomOf(room)?.title ?? called;
  const {failure, announced} = conversation;
  const {error} = conversation.actions;
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
        {announced.value && `${announced.value.actor}: ${oneLine(announced.value.text, ANNOUNCED_CHARS_MAX)}`}
      </div>
      {error.value && (
        <p class="action-error" role="alert">
          {sentence(error.value)}
        </p>
      )}
      <TypingLine conversation={conversation} />
      <Composer context={context} title={title} textarea={box} />
    </section>
  );
}

/** "@ada ", with a space before it if it would touch a word. */
function mentionAt({value, selectionStart}: HTMLTextAreaElement, user: string): string {
  return `${/\S$/.test(value.slice(0, selectionStart)) ? " " : ""}@${user} `;
}

/** Whether the page is visible and has the focus. */
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
    isWatched: isPageWatched,
    onNextFrame(draw: () => void) {
      if (document.hidden) setTimeout(draw, HIDDEN_FRAME_MS);
      else requestAnimationFrame(draw);
    },
    onPainted(events: readonly Event[]) {
      // A task queued while a frame is rendered runs after that frame was painted.
      requestAnimationFrame(() => {
        const {port1, port2} = new MessageChannel();
        port1.onmessage = () => events.forEach(eventPainted);
        port2.postMessage(undefined);
      });
    },
  };
}
