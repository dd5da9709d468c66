/** The popover of a message: its menu, the emoji picker, the author's card, or the confirmation before deleting. */
import {useEffect, useRef} from "preact/hooks";
import {Confirm} from "../../components/confirm.tsx";
import {PersonCard} from "../../components/person-card.tsx";
import {moveFocus, Popup} from "../../components/popup.tsx";
import {t} from "../../i18n/i18n.ts";
import {type ConversationContext, mayWrite} from "../context.ts";
import {EmojiPicker} from "../emoji/emoji-picker.tsx";
import {QUICK_REACTIONS} from "../emoji/emoji.ts";
import type {Message} from "../model/message.ts";
import {oneLine} from "../text.ts";
import {type Action, actionsFor} from "./actions.ts";

const PREVIEW_CHARS_MAX = 160;

export function MessageMenu({context}: {context: ConversationContext}) {
  const popover = context.popover.value;
  const close = useRef(() => (context.popover.value = undefined)).current;
  const message = popover && context.conversation.message(popover.seq);
  if (!popover || !message) return null;
  const react = (emoji: string): void => {
    close();
    void context.conversation.actions.react(message.seq, emoji);
  };
  switch (popover.what) {
    case "emoji":
      return <EmojiPicker at={popover.at} onSelect={react} onClose={close} />;
    case "delete":
      return <DeleteDialog message={message} context={context} close={close} />;
    case "person":
      return <PersonCard user={message.actor} at={popover.at} close={close} {...(mayWrite(context.conversation) && {mention: context.mention})} />;
    case "menu":
      return <ActionsMenu message={message} context={context} close={close} react={react} />;
  }
}

interface Props {
  message: Message;
  context: ConversationContext;
  close: () => void;
}

function ActionsMenu({message, context, close, react}: Props & {react: (emoji: string) => void}) {
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => list.current?.querySelector<HTMLElement>(".choices button")?.focus(), [message.seq]);
  const {at} = context.popover.value!;
  const run = (action: Action): void => {
    close();
    action.run(message, context, at);
  };
  const actions = actionsFor(message, context);
  return (
    <Popup at={at} label={t("conversation.actions")} close={close}>
      <div class="message-menu" ref={list} onKeyDown={(event) => list.current && moveFocus(event, list.current)}>
        {actions.some(({name}) => name === "react") && (
          <div class="quick">
            {QUICK_REACTIONS.map((emoji) => (
              <button key={emoji} type="button" aria-label={`${t("conversation.react")} ${emoji}`} onClick={() => react(emoji)}>
                {emoji}
              </button>
            ))}
          </div>
        )}
        <div class="choices">
          {actions.map((action) => (
            <button key={action.name} type="button" class={action.name} onClick={() => run(action)}>
              <bdi class="truncated">{t(`conversation.${action.name}`, {actor: message.actor})}</bdi>
              <kbd aria-hidden="true">{action.key === "Delete" ? "Del" : action.key.toUpperCase()}</kbd>
            </button>
          ))}
        </div>
      </div>
    </Popup>
  );
}

function DeleteDialog({message: {seq, text}, context, close}: Props) {
  const go = (): void => {
    close();
    void context.conversation.actions.delete(seq);
  };
  return (
    <Confirm title={t("conversation.deleteTitle")} action={t("conversation.delete")} onConfirm={go} onClose={close} returnFocusTo={() => document.querySelector(`article[data-seq="${seq}"]`)}>
      <p>{t("conversation.deleteSure")}</p>
      <p class="excerpt" dir="auto">
        {oneLine(text, PREVIEW_CHARS_MAX)}
      </p>
    </Confirm>
  );
}
