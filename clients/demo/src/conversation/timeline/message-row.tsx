/**
 * One message: author, time, quote, text, reactions.
 *
 * A row renders again only when its props or a signal that it reads change: @preact/signals does that for every component
 * that reads a signal, and all of these read the language.
 */
import {useSignal} from "@preact/signals";
import type {TargetedMouseEvent} from "preact";
import {Avatar} from "../../components/avatar.tsx";
import {Confirm} from "../../components/confirm.tsx";
import {Icon} from "../../components/icon.tsx";
import {anchorOf} from "../../components/popup.tsx";
import {formatCount} from "../../i18n/format.ts";
import {t} from "../../i18n/i18n.ts";
import type {ConversationContext} from "../context.ts";
import type {Message} from "../model/message.ts";
import type {OutgoingMessage} from "../model/outgoing.ts";
import {oneLine} from "../text.ts";
import {clockText, fullText, listText, timeText} from "../time.ts";
import {actionsFor} from "./actions.ts";
import {MessageBody} from "./message-body.tsx";
import {StatusIcon, DeliveryMark} from "./delivery-mark.tsx";

const QUOTE_CHARS_MAX = 160;
const SPOKEN_TEXT_CHARS_MAX = 500;
const NAMES_MAX = 10;

/**
 * `active`: pointed at or focused, so it shows its buttons. `stops`: what Tab reaches. Controls inside are reached only from
 * the focused row, so that Tab does not stop at every reaction of the room.
 */
interface Props {
  message: Message;
  first: boolean;
  next: number;
  active: boolean;
  stops: "none" | "row" | "all";
  context: ConversationContext;
}

export function MessageRow({message, first, next, active, stops, context}: Props) {
  const {seq, actor, atMs, text, deleted, editedAtMs, reactions, replyTo} = message;
  const mine = actor === context.me;
  const label = spokenText(actor, atMs, deleted ? t("conversation.deleted") : text);
  const inside = stops === "all" ? 0 : -1;
  const onUnfold = (): void => {
    context.conversation.isFollowing = false;
  };
  const person = (event: TargetedMouseEvent<HTMLButtonElement>): void => {
    context.popover.value = {what: "person", seq, at: anchorOf(event.currentTarget)};
  };
  return (
    <article class={`message${first ? " first" : ""}${mine ? " mine" : ""}`} data-seq={seq} tabIndex={stops === "none" ? -1 : 0} aria-label={label}>
      <MessageSide first={first} actor={actor} atMs={atMs} person={person} />
      <div class="what">
        {first && <MessageHeader actor={actor} atMs={atMs} person={person} stop={inside} />}
        {replyTo > 0 && !deleted && <QuotedMessage seq={replyTo} context={context} stop={inside} />}
        {deleted ? (
          <p class="deleted">{t("conversation.deleted")}</p>
        ) : (
          <MessageBody text={text} editedAtMs={editedAtMs} tabIndex={inside} onUnfold={onUnfold} deliveryMark={mine && <DeliveryMark conversation={context.conversation} seq={seq} next={next} />} />
        )}
        {reactions.length > 0 && <Reactions message={message} context={context} stop={inside} />}
      </div>
      {active && !deleted && <Toolbar message={message} context={context} stop={inside} />}
    </article>
  );
}

/** My message that is not in the log yet. */
export function OutgoingRow({outgoing, first, context}: {outgoing: OutgoingMessage; first: boolean; context: ConversationContext}) {
  const {clientId, atMs, text, replyTo, state, errorText: why} = outgoing;
  const failed = t("conversation.failed", {why});
  const isConfirming = useSignal(false);
  return (
    <article class={`message mine ${state}${first ? " first" : ""}`} tabIndex={-1} aria-label={spokenText(context.me, atMs, text)}>
      <MessageSide first={first} actor={context.me} atMs={atMs} />
      <div class="what">
        {first && <MessageHeader actor={context.me} atMs={atMs} />}
        {replyTo > 0 && <QuotedMessage seq={replyTo} context={context} />}
        <MessageBody text={text} deliveryMark={<StatusIcon state={state} text={state === "failed" ? failed : t(`conversation.${state}`)} />} />
        {state === "failed" && (
          <p class="failure" role="alert">
            <span>{failed}</span>
            <button type="button" onClick={() => context.conversation.outgoing.retry(outgoing)}>
              {t("conversation.retry")}
            </button>
            <button type="button" onClick={() => (isConfirming.value = true)}>
              {t("conversation.discard")}
            </button>
          </p>
        )}
        {isConfirming.value && (
          <Confirm title={t("conversation.discardTitle")} action={t("conversation.discard")} onConfirm={() => context.conversation.outgoing.discard(clientId)} onClose={() => (isConfirming.value = false)}>
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
  /** Opens the card of the author. */
  person?: (event: TargetedMouseEvent<HTMLButtonElement>) => void;
}

/** A click on the avatar opens the card; the keyboard uses the name, so that there is only one tab stop. */
function MessageSide({first, actor, atMs, person}: Author & {first: boolean}) {
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

/** The accessible name of a message, which a screen reader speaks when it gets the focus. */
function spokenText(actor: string, atMs: number, text: string): string {
  return t("conversation.message", {actor, time: timeText(atMs), text: oneLine(text, SPOKEN_TEXT_CHARS_MAX)});
}

function MessageHeader({actor, atMs, person, stop = -1}: Author & {stop?: number}) {
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

function QuotedMessage({seq, context, stop = -1}: {seq: number; context: ConversationContext; stop?: number}) {
  const {conversation} = context;
  // Renders again with the list, because the quoted message may be edited, or move into or out of the timeline.
  void conversation.entries.value;
  const here = conversation.message(seq);
  const found = here ?? conversation.quotedMessages.get(seq);
  if (!found) void conversation.quotedMessages.load(seq);
  if (found === "gone") return <p class="quote gone">{t("conversation.gone")}</p>;
  const text = !found ? t("conversation.quoteLoading") : found.deleted ? t("conversation.deleted") : oneLine(found.text, QUOTE_CHARS_MAX);
  return (
    <button type="button" class="quote" tabIndex={stop} onClick={() => conversation.jumpTo(seq)} aria-label={t("conversation.quote", {actor: found?.actor ?? "", text})}>
      <bdi class="actor">{found?.actor}</bdi> <bdi class="truncated">{text}</bdi>
    </button>
  );
}

function Reactions({message, context, stop}: {message: Message; context: ConversationContext; stop: number}) {
  const may = actionsFor(message, context).some(({name}) => name === "react");
  return (
    <div class="reactions">
      {message.reactions.map(({emoji, users, count}) => {
        const named = listText(users.slice(0, NAMES_MAX)) + (count > NAMES_MAX ? "…" : "");
        const label = t("conversation.reaction", {emoji, n: count, users: named});
        return (
          <button
            key={emoji}
            type="button"
            tabIndex={stop}
            disabled={!may}
            aria-pressed={users.includes(context.me)}
            aria-label={label}
            title={named}
            onClick={() => void context.conversation.actions.react(message.seq, emoji)}
          >
            <bdi class="glyph">{emoji}</bdi> <span class="count">{formatCount(count)}</span>
          </button>
        );
      })}
    </div>
  );
}

function Toolbar({message, context, stop}: {message: Message; context: ConversationContext; stop: number}) {
  const actions = actionsFor(message, context);
  const menu = (event: TargetedMouseEvent<HTMLButtonElement>): void => {
    context.popover.value = {what: "menu", seq: message.seq, at: anchorOf(event.currentTarget)};
  };
  return (
    <div class="toolbar" role="group" aria-label={t("conversation.actions")}>
      {actions
        .filter(({name}) => name === "react" || name === "reply" || name === "edit")
        .map((action) => {
          const name = t(`conversation.${action.name}`);
          const run = (event: TargetedMouseEvent<HTMLButtonElement>) => action.run(message, context, anchorOf(event.currentTarget));
          return (
            <button key={action.name} type="button" tabIndex={stop} title={name} aria-label={name} onClick={run}>
              <Icon name={action.name === "react" ? "smile" : action.name === "reply" ? "reply" : "pencil"} size={18} />
            </button>
          );
        })}
      <button type="button" tabIndex={stop} title={t("conversation.menu")} aria-label={t("conversation.menu")} aria-haspopup="dialog" onClick={menu}>
        <Icon name="more" size={18} />
      </button>
    </div>
  );
}
