/**
 * The field for messages. Enter sends, Shift+Enter starts a new line; while an input method composes a word neither does.
 * The draft of each room survives a reload.
 */
import {useComputed, useSignal, useSignalEffect} from "@preact/signals";
import type {TargetedKeyboardEvent} from "preact";
import {useEffect, useLayoutEffect, useRef} from "preact/hooks";
import {Icon} from "../../components/icon.tsx";
import {anchorOf, type Anchor} from "../../components/popup.tsx";
import {t} from "../../i18n/i18n.ts";
import {type ConversationContext, mayWrite} from "../context.ts";
import {EmojiPicker} from "../emoji/emoji-picker.tsx";
import {storedValue} from "../model/stored-value.ts";
import {bytesOf, oneLine, normalizeForSending} from "../text.ts";

const BYTES_MAX = 65_536;
const BYTES_WARN_MIN = 60_000; // from here on the number of bytes left is shown
const TYPING_INTERVAL_MS = 3_000; // the service ends a typing state after 6 s
const DRAFT_DELAY_MS = 300;
const QUOTE_CHARS_MAX = 160;

export function Composer({context, title, textarea}: {context: ConversationContext; title: string; textarea: {current: HTMLTextAreaElement | null}}) {
  const {conversation, mode, me} = context;
  const draft = useRef(storedValue<string>("draft", me, conversation.room)).current;
  const text = useSignal(draft.load() ?? "");
  const picking = useSignal<Anchor | undefined>(undefined);
  /** The draft as it was before editing a message. */
  const savedDraft = useRef("");
  const composing = useRef(false);
  const typing = useTypingSignal(context);
  const currentMode = mode.value;
  const bytes = useComputed(() => (text.value.length * 3 < BYTES_WARN_MIN ? 0 : bytesOf(normalizeForSending(text.value))));
  const tooLong = bytes.value - BYTES_MAX;
  const sending = currentMode?.kind === "edit" ? t("composer.save") : t("composer.send");
  const ready = normalizeForSending(text.value) !== "" && tooLong <= 0;

  useSignalEffect(() => {
    const now = mode.value;
    if (now?.kind === "edit") {
      savedDraft.current ||= text.peek();
      text.value = now.text ?? now.message.text;
    }
    if (now) textarea.current?.focus();
  });
  useEffect(() => {
    const before = text.peek();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const save = (): void => draft.save(mode.peek()?.kind === "edit" ? savedDraft.current : text.peek());
    const stop = text.subscribe((now) => {
      clearTimeout(timer);
      if (now !== before) timer = setTimeout(save, DRAFT_DELAY_MS);
    });
    addEventListener("pagehide", save);
    return () => {
      stop();
      clearTimeout(timer);
      removeEventListener("pagehide", save);
      save();
    };
  }, []);
  useLayoutEffect(() => {
    const {current: area} = textarea;
    if (!area) return;
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight + area.offsetHeight - area.clientHeight}px`;
  }, [text.value, currentMode]);

  const cancelMode = (): void => {
    if (mode.peek()?.kind === "edit") {
      text.value = savedDraft.current;
      savedDraft.current = "";
    }
    mode.value = undefined;
  };
  const send = (): void => {
    const message = normalizeForSending(text.peek());
    if (!message || bytesOf(message) > BYTES_MAX) return;
    const now = mode.peek();
    if (now?.kind === "edit") {
      cancelMode();
      // A rejected edit is put back into the composer.
      void conversation.actions.edit(now.message.seq, message).catch(() => (mode.value ??= {...now, text: message}));
    } else {
      text.value = "";
      mode.value = undefined;
      conversation.send(message, now?.message.seq ?? 0);
    }
    typing.stop();
    draft.save(text.peek());
    textarea.current?.focus();
  };
  const insert = (chars: string): void => {
    const {current: area} = textarea;
    if (!area) return;
    picking.value = undefined;
    insertText(area, chars);
  };
  const keys = (event: TargetedKeyboardEvent<HTMLTextAreaElement>): void => {
    // Safari sends keyCode 229 for the key that ended a composition.
    if (event.isComposing || composing.current || event.keyCode === 229) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      send();
    } else if (event.key === "Escape" && mode.peek()) {
      event.preventDefault();
      event.stopPropagation();
      cancelMode();
    } else if (event.key === "ArrowUp" && !event.altKey && !event.currentTarget.value && !mode.peek()) {
      const mine = conversation.entries.peek().findLast((entry) => entry.kind === "message" && entry.actor === me && !entry.deleted);
      if (mine?.kind !== "message") return;
      event.preventDefault();
      mode.value = {kind: "edit", message: mine};
    }
  };

  if (!mayWrite(conversation)) return <p class="composer read-only">{t("composer.readOnly")}</p>;
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {currentMode && (
        <div class="mode">
          <span class="truncated">
            <b>{currentMode.kind === "edit" ? t("composer.editing") : t("composer.replying", {actor: `\u2068${currentMode.message.actor}\u2069`})}</b>{" "}
            <bdi>{oneLine(currentMode.message.text, QUOTE_CHARS_MAX)}</bdi>
          </span>
          <button type="button" class="icon" aria-label={t("composer.cancel")} title={`${t("composer.cancel")} (Esc)`} onClick={cancelMode}>
            <Icon name="close" size={18} />
          </button>
        </div>
      )}
      <div class="writing">
        <textarea
          ref={textarea}
          rows={1}
          value={text.value}
          dir="auto"
          placeholder={t("composer.placeholder")}
          aria-label={t("composer.label", {room: title})}
          aria-invalid={tooLong > 0}
          aria-describedby="write-count"
          enterkeyhint="send"
          onInput={(event) => {
            text.value = event.currentTarget.value;
            if (text.value && mode.peek()?.kind !== "edit") typing.go();
          }}
          onKeyDown={keys}
          onCompositionStart={() => (composing.current = true)}
          onCompositionEnd={() => (composing.current = false)}
        />
        <button
          type="button"
          class="icon"
          aria-label={t("composer.emoji")}
          title={t("composer.emoji")}
          aria-expanded={picking.value !== undefined}
          onClick={(event) => (picking.value = picking.peek() ? undefined : anchorOf(event.currentTarget))}
        >
          <Icon name="smile" />
        </button>
        <button type="submit" class="icon send" disabled={!ready} aria-label={sending} title={sending}>
          <Icon name={currentMode?.kind === "edit" ? "check" : "send"} />
        </button>
      </div>
      <p id="write-count" class={`count${tooLong > 0 ? " over" : ""}`} role="status" hidden={bytes.value < BYTES_WARN_MIN}>
        {tooLong > 0
          ? t("composer.tooLong", {n: tooLong, max: BYTES_MAX})
          : bytes.value >= BYTES_WARN_MIN && t("composer.left", {n: BYTES_MAX - bytes.value})}
      </p>
      {picking.value && <EmojiPicker at={picking.value} onSelect={insert} onClose={() => (picking.value = undefined)} />}
    </form>
  );
}

/** Insert these characters at the cursor, as if they had been typed. */
export function insertText(area: HTMLTextAreaElement, chars: string): void {
  area.setRangeText(chars, area.selectionStart, area.selectionEnd, "end");
  area.dispatchEvent(new InputEvent("input", {bubbles: true}));
  area.focus();
}

/** Reports that I am typing, at most every few seconds, and that I stopped when the message is sent. */
function useTypingSignal({conversation}: ConversationContext) {
  const lastSentMs = useRef(-Infinity);
  return {
    go() {
      if (performance.now() - lastSentMs.current < TYPING_INTERVAL_MS) return;
      lastSentMs.current = performance.now();
      conversation.actions.typing(false);
    },
    stop() {
      if (lastSentMs.current > -Infinity) conversation.actions.typing(true);
      lastSentMs.current = -Infinity;
    },
  };
}
