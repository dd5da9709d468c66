/**
 * One message: who, when, what it answers, what it says, what others make of it.
 *
 * A row is drawn again only when its properties change or a signal it has read: @preact/signals sees to that for every
 * component that reads one, and all of these read the language.
 */
import {useSignal} from "@preact/signals";
import type {TargetedMouseEvent} from "preact";
import {Avatar} from "../../parts/avatar.tsx";
import {Confirm} from "../../parts/confirm.tsx";
import {Icon} from "../../parts/icon.tsx";
import {beside} from "../../parts/popup.tsx";
import {t} from "../../words/words.ts";
import type {Desk} from "../desk.ts";
import type {Message} from "../model/message.ts";
import type {Outgoing} from "../model/outgoing.ts";
import {oneLine} from "../text.ts";
import {clockText, fullText, listText, timeText} from "../time.ts";
import {actionsFor} from "./actions.ts";
import {Body} from "./body.tsx";
import {Mark, SeenMark} from "./marks.tsx";

const QUOTE_CHARS_MAX = 160;
const SPOKEN_CHARS_MAX = 500;
const NAMES_MAX = 10;

/**
 * `active`: pointed at or focused, so it shows its buttons. `stops`: what of it Tab comes to; what is inside only from the
 * row itself, so that there are not as many stops as reactions in the room.
 */
interface Props {
  message: Message;
  first: boolean;
  next: number;
  active: boolean;
  stops: "none" | "row" | "all";
  desk: Desk;
}

export function MessageRow({message, first, next, active, stops, desk}: Props) {
  const {seq, actor, atMs, text, deleted, editedAtMs, reactions, replyTo} = message;
  const mine = actor === desk.me;
  const label = spoken(actor, atMs, deleted ? t("talk.deleted") : text);
  const inside = stops === "all" ? 0 : -1;
  const unfolding = (): void => {
    desk.talk.following = false;
  };
  const person = (event: TargetedMouseEvent<HTMLButtonElement>): void => {
    desk.open.value = {what: "person", seq, at: beside(event.currentTarget)};
  };
  return (
    <article class={`message${first ? " first" : ""}${mine ? " mine" : ""}`} data-seq={seq} tabIndex={stops === "none" ? -1 : 0} aria-label={label}>
      <Side first={first} actor={actor} atMs={atMs} person={person} />
      <div class="what">
        {first && <Head actor={actor} atMs={atMs} person={person} stop={inside} />}
        {replyTo > 0 && !deleted && <Quote seq={replyTo} desk={desk} stop={inside} />}
        {deleted ? (
          <p class="deleted">{t("talk.deleted")}</p>
        ) : (
          <Body text={text} editedAtMs={editedAtMs} stop={inside} unfolding={unfolding} mark={mine && <SeenMark talk={desk.talk} seq={seq} next={next} />} />
        )}
        {reactions.length > 0 && <Reactions message={message} desk={desk} stop={inside} />}
      </div>
      {active && !deleted && <Toolbar message={message} desk={desk} stop={inside} />}
    </article>
  );
}

/** Mine, without a number yet. */
export function OutgoingRow({outgoing, first, desk}: {outgoing: Outgoing; first: boolean; desk: Desk}) {
  const {clientId, atMs, text, replyTo, state, why} = outgoing;
  const failed = t("talk.failed", {why});
  const asking = useSignal(false);
  return (
    <article class={`message mine ${state}${first ? " first" : ""}`} tabIndex={-1} aria-label={spoken(desk.me, atMs, text)}>
      <Side first={first} actor={desk.me} atMs={atMs} />
      <div class="what">
        {first && <Head actor={desk.me} atMs={atMs} />}
        {replyTo > 0 && <Quote seq={replyTo} desk={desk} />}
        <Body text={text} mark={<Mark state={state} text={state === "failed" ? failed : t(`talk.${state}`)} />} />
        {state === "failed" && (
          <p class="failure" role="alert">
            <span>{failed}</span>
            <button type="button" onClick={() => desk.talk.outgoing.retry(outgoing)}>
              {t("talk.retry")}
            </button>
            <button type="button" onClick={() => (asking.value = true)}>
              {t("talk.discard")}
            </button>
          </p>
        )}
        {asking.value && (
          <Confirm title={t("talk.discardTitle")} action={t("talk.discard")} onConfirm={() => desk.talk.outgoing.discard(clientId)} onClose={() => (asking.value = false)}>
            <p class="excerpt" dir="auto">
              {oneLine(text, QUOTE_CHARS_MAX)}
            </p>
          </Confirm>
        )}
      </div>
    </article>
  );
}

interface Author {
  actor: string;
  atMs: number;
  /** Opens the author's card. */
  person?: (event: TargetedMouseEvent<HTMLButtonElement>) => void;
}

/** The picture opens the card for a pointer; with the keys the name does, so that there is one stop and not two. */
function Side({first, actor, atMs, person}: Author & {first: boolean}) {
  if (!first) {
    return (
      <div class="side">
        <time dateTime={new Date(atMs).toISOString()}>{clockText(atMs)}</time>
      </div>
    );
  }
  return (
    <div class="side">
      {person ? (
        <button type="button" class="picture" tabIndex={-1} aria-hidden="true" onClick={person}>
          <Avatar user={actor} />
        </button>
      ) : (
        <Avatar user={actor} />
      )}
    </div>
  );
}

/** A message as it is read out to somebody who comes to it with the keys. */
function spoken(actor: string, atMs: number, text: string): string {
  return t("talk.message", {actor, time: timeText(atMs), text: oneLine(text, SPOKEN_CHARS_MAX)});
}

function Head({actor, atMs, person, stop = -1}: Author & {stop?: number}) {
  return (
    <header>
      {person ? (
        <button type="button" class="actor" tabIndex={stop} onClick={person}>
          <bdi>{actor}</bdi>
        </button>
      ) : (
        <bdi class="actor">{actor}</bdi>
      )}
      <time dateTime={new Date(atMs).toISOString()} title={fullText(atMs)}>
        {timeText(atMs)}
      </time>
    </header>
  );
}

function Quote({seq, desk, stop = -1}: {seq: number; desk: Desk; stop?: number}) {
  const {talk} = desk;
  // Drawn again with the list: what is answered may be edited, or come and go.
  void talk.entries.value;
  const here = talk.message(seq);
  const found = here ?? talk.quotes.get(seq);
  if (!found) void talk.quotes.read(seq);
  if (found === "gone") return <p class="quote gone">{t("talk.gone")}</p>;
  const text = !found ? t("talk.quoteLoading") : found.deleted ? t("talk.deleted") : oneLine(found.text, QUOTE_CHARS_MAX);
  return (
    <button type="button" class="quote" tabIndex={stop} onClick={() => talk.jump(seq)} aria-label={t("talk.answered", {actor: found?.actor ?? "", text})}>
      <bdi class="actor">{found?.actor}</bdi> <bdi class="cut">{text}</bdi>
    </button>
  );
}

function Reactions({message, desk, stop}: {message: Message; desk: Desk; stop: number}) {
  const may = actionsFor(message, desk).some(({name}) => name === "react");
  return (
    <div class="reactions">
      {message.reactions.map(({emoji, users, count}) => {
        const named = listText(users.slice(0, NAMES_MAX)) + (count > NAMES_MAX ? "…" : "");
        const label = t("talk.reaction", {emoji, n: count, users: named});
        return (
          <button
            key={emoji}
            type="button"
            tabIndex={stop}
            disabled={!may}
            aria-pressed={users.includes(desk.me)}
            aria-label={label}
            title={named}
            onClick={() => void desk.talk.changes.react(message.seq, emoji)}
          >
            <bdi class="glyph">{emoji}</bdi> <span class="count">{count.toLocaleString()}</span>
          </button>
        );
      })}
    </div>
  );
}

function Toolbar({message, desk, stop}: {message: Message; desk: Desk; stop: number}) {
  const actions = actionsFor(message, desk);
  const menu = (event: TargetedMouseEvent<HTMLButtonElement>): void => {
    desk.open.value = {what: "menu", seq: message.seq, at: beside(event.currentTarget)};
  };
  return (
    <div class="toolbar" role="group" aria-label={t("talk.actions")}>
      {actions
        .filter(({name}) => name === "react" || name === "reply" || name === "edit")
        .map((action) => {
          const name = t(`talk.${action.name}`);
          const run = (event: TargetedMouseEvent<HTMLButtonElement>) => action.run(message, desk, beside(event.currentTarget));
          return (
            <button key={action.name} type="button" tabIndex={stop} title={name} aria-label={name} onClick={run}>
              <Icon name={action.name === "react" ? "smile" : action.name === "reply" ? "reply" : "pencil"} size={18} />
            </button>
          );
        })}
      <button type="button" tabIndex={stop} title={t("talk.menu")} aria-label={t("talk.menu")} aria-haspopup="dialog" onClick={menu}>
        <Icon name="more" size={18} />
      </button>
    </div>
  );
}
