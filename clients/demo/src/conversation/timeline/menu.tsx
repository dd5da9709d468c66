/** What is open because of a message: its menu, the emoji to react with, its author's card, or the question before it is deleted. */
import {useEffect, useRef} from "preact/hooks";
import {Confirm} from "../../parts/confirm.tsx";
import {PersonCard} from "../../parts/person-card.tsx";
import {moveFocus, Popup} from "../../parts/popup.tsx";
import {t} from "../../words/words.ts";
import {type Desk, mayWrite} from "../desk.ts";
import {EmojiPicker} from "../emoji/emoji-picker.tsx";
import {QUICK} from "../emoji/emoji.ts";
import type {Message} from "../model/message.ts";
import {oneLine} from "../text.ts";
import {type Action, actionsFor} from "./actions.ts";

const PREVIEW_CHARS_MAX = 160;

export function MessageMenu({desk}: {desk: Desk}) {
  const opened = desk.open.value;
  const close = useRef(() => (desk.open.value = undefined)).current;
  const message = opened && desk.talk.message(opened.seq);
  if (!opened || !message) return null;
  const react = (emoji: string): void => {
    close();
    void desk.talk.changes.react(message.seq, emoji);
  };
  switch (opened.what) {
    case "emoji":
      return <EmojiPicker at={opened.at} chosen={react} close={close} />;
    case "delete":
      return <Delete message={message} desk={desk} close={close} />;
    case "person":
      return <PersonCard user={message.actor} at={opened.at} close={close} {...(mayWrite(desk.talk) && {mention: desk.mention})} />;
    case "menu":
      return <Actions message={message} desk={desk} close={close} react={react} />;
  }
}

interface Props {
  message: Message;
  desk: Desk;
  close: () => void;
}

function Actions({message, desk, close, react}: Props & {react: (emoji: string) => void}) {
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => list.current?.querySelector<HTMLElement>(".choices button")?.focus(), [message.seq]);
  const {at} = desk.open.value!;
  const run = (action: Action): void => {
    close();
    action.run(message, desk, at);
  };
  const actions = actionsFor(message, desk);
  return (
    <Popup at={at} label={t("talk.actions")} close={close}>
      <div class="message-menu" ref={list} onKeyDown={(event) => list.current && moveFocus(event, list.current)}>
        {actions.some(({name}) => name === "react") && (
          <div class="quick">
            {QUICK.map((emoji) => (
              <button key={emoji} type="button" aria-label={`${t("talk.react")} ${emoji}`} onClick={() => react(emoji)}>
                {emoji}
              </button>
            ))}
          </div>
        )}
        <div class="choices">
          {actions.map((action) => (
            <button key={action.name} type="button" class={action.name} onClick={() => run(action)}>
              <bdi class="cut">{t(`talk.${action.name}`, {actor: message.actor})}</bdi>
              <kbd aria-hidden="true">{action.key === "Delete" ? "Del" : action.key.toUpperCase()}</kbd>
            </button>
          ))}
        </div>
      </div>
    </Popup>
  );
}

function Delete({message: {seq, text}, desk, close}: Props) {
  const go = (): void => {
    close();
    void desk.talk.changes.delete(seq);
  };
  return (
    <Confirm title={t("talk.deleteTitle")} action={t("talk.delete")} onConfirm={go} onClose={close} back={() => document.querySelector(`article[data-seq="${seq}"]`)}>
      <p>{t("talk.deleteSure")}</p>
      <p class="excerpt" dir="auto">
        {oneLine(text, PREVIEW_CHARS_MAX)}
      </p>
    </Confirm>
  );
}
