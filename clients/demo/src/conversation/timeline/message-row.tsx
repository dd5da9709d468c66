/**
 * One message: who, when, what it answers, what it says, what others make of it.
 *
 * A row is drawn again only when its properties change or a signal it has read: @preact/signals sees to that for every
 * component that reads one, and all of these read the language.
 */
import type {TargetedMouseEvent} from "preact";
import {Avatar} from "../../parts/avatar.tsx";
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
  return (
    <article class={`message${first ? " first" : ""}${mine ? " mine" : ""}`} data-seq={seq} tabIndex={stops === "none" ? -1 : 0} aria-label={label}>
      <Side first={first} actor={actor} atMs={atMs} />
      <div class="what">
        {first && <Head actor={actor} atMs={atMs} />}
        {replyTo > 0 && !deleted && <Quote seq={replyTo} desk={desk} stop={inside} />}
        {deleted ? <p class="deleted">{t("talk.deleted")}</p> : <Body text={text} editedAtMs={editedAtMs} stop={inside} unfolding={unfolding} />}
        {reactions.length > 0 && <Reactions message={message} desk={desk} stop={inside} />}
      </div>
      <div class="end">{mine && !deleted && <SeenMark talk={desk.talk} seq={seq} next={next} />}</div>
      {active && !deleted && <Toolbar message={message} desk={desk} stop={inside} />}
    </article>
  );
}

/** Mine, without a number yet. */
export function OutgoingRow({outgoing, first, desk}: {outgoing: Outgoing; first: boolean; desk: Desk}) {
  const {clientId, atMs, text, replyTo, state, why} = outgoing;
  const failed = t("talk.failed", {why});
  return (
    <article class={`message mine ${state}${first ? " first" : ""}`} tabIndex={-1} aria-label={spoken(desk.me, atMs, text)}>
      <Side first={first} actor={desk.me} atMs={atMs} />
      <div class="what">
        {first && <Head actor={desk.me} atMs={atMs} />}
        {replyTo > 0 && <Quote seq={replyTo} desk={desk} />}
        <Body text={text} />
        {state === "failed" && (
          <p class="failure" role="alert">
            <span>{failed}</span>
            <button type="button" onClick={() => desk.talk.outgoing.retry(outgoing)}>
              {t("talk.retry")}
            </button>
            <button type="button" onClick={() => desk.talk.outgoing.discard(clientId)}>
              {t("talk.discard")}
            </button>
          </p>
        )}
      </div>
      <div class="end">
        <Mark state={state} text={state === "failed" ? failed : t(`talk.${state}`)} />
      </div>
    </article>
  );
}

function Side({first, actor, atMs}: {first: boolean; actor: string; atMs: number}) {
  return <div class="side">{first ? <Avatar user={actor} /> : <time dateTime={new Date(atMs).toISOString()}>{clockText(atMs)}</time>}</div>;
}

/** A message as it is read out to somebody who comes to it with the keys. */
function spoken(actor: string, atMs: number, text: string): string {
  return t("talk.message", {actor, time: timeText(atMs), text: oneLine(text, SPOKEN_CHARS_MAX)});
}

function Head({actor, atMs}: {actor: string; atMs: number}) {
  return (
    <header>
      <bdi class="actor">{actor}</bdi>
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
