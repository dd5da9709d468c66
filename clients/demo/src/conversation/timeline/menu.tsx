/** What is open beside a message: its menu, or the emoji to react with. */
import {useEffect, useRef, useState} from "preact/hooks";
import {moveFocus, Popup} from "../../parts/popup.tsx";
import {t} from "../../words/words.ts";
import {EmojiPicker} from "../emoji/emoji-picker.tsx";
import {QUICK} from "../emoji/emoji.ts";
import type {Desk} from "../desk.ts";
import {type Action, actionsFor} from "./actions.ts";

export function MessageMenu({desk}: {desk: Desk}) {
  const opened = desk.open.value;
  const list = useRef<HTMLDivElement>(null);
  const [sure, setSure] = useState(false);
  const close = useRef(() => (desk.open.value = undefined)).current;
  useEffect(() => {
    setSure(false);
    list.current?.querySelector<HTMLElement>(".choices button")?.focus();
  }, [opened]);
  const message = opened && desk.talk.message(opened.seq);
  if (!opened || !message) return null;
  const react = (emoji: string): void => {
    close();
    void desk.talk.changes.react(message.seq, emoji);
  };
  if (opened.what === "emoji") return <EmojiPicker at={opened.at} chosen={react} close={close} />;
  const run = (action: Action): void => {
    // What is gone is gone for everybody: asked once more.
    if (action.name === "delete" && !sure) {
      setSure(true);
      return;
    }
    close();
    action.run(message, desk, opened.at);
  };
  const actions = actionsFor(message, desk);
  return (
    <Popup at={opened.at} label={t("talk.actions")} close={close}>
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
              <span>{action.name === "delete" && sure ? t("talk.deleteSure") : t(`talk.${action.name}`)}</span>
              <kbd aria-hidden="true">{action.key === "Delete" ? "Del" : action.key.toUpperCase()}</kbd>
            </button>
          ))}
        </div>
      </div>
    </Popup>
  );
}
