/**
 * Where one writes. Enter sends, Shift and Enter begin a line; while a Chinese or Japanese word is being composed neither
 * does. What is not sent yet is kept per room, over a reload.
 */
import {useComputed, useSignal, useSignalEffect} from "@preact/signals";
import type {TargetedKeyboardEvent} from "preact";
import {useEffect, useLayoutEffect, useRef} from "preact/hooks";
import {Icon} from "../../parts/icon.tsx";
import {beside, type Place} from "../../parts/popup.tsx";
import {t} from "../../words/words.ts";
import {type Desk, mayWrite} from "../desk.ts";
import {EmojiPicker} from "../emoji/emoji-picker.tsx";
import {keepOf} from "../model/keep.ts";
import {bytesOf, oneLine, sendable} from "../text.ts";

const BYTES_MAX = 65_536;
const BYTES_WARN = 60_000; // from here on it is said how many are left
const TYPING_EVERY_MS = 3_000; // typing dies after 6 s
const DRAFT_AFTER_MS = 300;
const QUOTE_CHARS_MAX = 160;

export function Composer({desk, title, box}: {desk: Desk; title: string; box: {current: HTMLTextAreaElement | null}}) {
  const {talk, purpose, me} = desk;
  const draft = useRef(keepOf<string>("draft", me, talk.room)).current;
  const text = useSignal(draft.load() ?? "");
  const picking = useSignal<Place | undefined>(undefined);
  /** What was being written before a message was edited. */
  const aside = useRef("");
  const composing = useRef(false);
  const typing = useTyping(desk);
  const writingFor = purpose.value;
  const bytes = useComputed(() => (text.value.length * 3 < BYTES_WARN ? 0 : bytesOf(sendable(text.value))));
  const tooLong = bytes.value - BYTES_MAX;
  const sending = writingFor?.kind === "edit" ? t("write.save") : t("write.send");
  const ready = sendable(text.value) !== "" && tooLong <= 0;

  useSignalEffect(() => {
    const now = purpose.value;
    if (now?.kind === "edit") {
      aside.current ||= text.peek();
      text.value = now.text ?? now.message.text;
    }
    if (now) box.current?.focus();
  });
  useEffect(() => {
    const before = text.peek();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const save = (): void => draft.save(purpose.peek()?.kind === "edit" ? aside.current : text.peek());
    const stop = text.subscribe((now) => {
      clearTimeout(timer);
      if (now !== before) timer = setTimeout(save, DRAFT_AFTER_MS);
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
    const {current: area} = box;
    if (!area) return;
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight + area.offsetHeight - area.clientHeight}px`;
  }, [text.value, writingFor]);

  const leave = (): void => {
    if (purpose.peek()?.kind === "edit") {
      text.value = aside.current;
      aside.current = "";
    }
    purpose.value = undefined;
  };
  const send = (): void => {
    const said = sendable(text.peek());
    if (!said || bytesOf(said) > BYTES_MAX) return;
    const now = purpose.peek();
    if (now?.kind === "edit") {
      leave();
      // What was not taken is here again, to be tried otherwise.
      void talk.changes.edit(now.message.seq, said).catch(() => (purpose.value ??= {...now, text: said}));
    } else {
      text.value = "";
      purpose.value = undefined;
      talk.send(said, now?.message.seq ?? 0);
    }
    typing.stop();
    draft.save(text.peek());
    box.current?.focus();
  };
  const insert = (chars: string): void => {
    const {current: area} = box;
    if (!area) return;
    picking.value = undefined;
    writeInto(area, chars);
  };
  const keys = (event: TargetedKeyboardEvent<HTMLTextAreaElement>): void => {
    // 229 is how Safari says that the key belonged to the composition it has just ended.
    if (event.isComposing || composing.current || event.keyCode === 229) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      send();
    } else if (event.key === "Escape" && purpose.peek()) {
      event.preventDefault();
      event.stopPropagation();
      leave();
    } else if (event.key === "ArrowUp" && !event.altKey && !event.currentTarget.value && !purpose.peek()) {
      const mine = talk.entries.peek().findLast((entry) => entry.kind === "message" && entry.actor === me && !entry.deleted);
      if (mine?.kind !== "message") return;
      event.preventDefault();
      purpose.value = {kind: "edit", message: mine};
    }
  };

  if (!mayWrite(talk)) return <p class="composer read-only">{t("write.readOnly")}</p>;
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {writingFor && (
        <div class="purpose">
          <span class="cut">
            <b>{writingFor.kind === "edit" ? t("write.editing") : t("write.replying", {actor: `\u2068${writingFor.message.actor}\u2069`})}</b>{" "}
            <bdi>{oneLine(writingFor.message.text, QUOTE_CHARS_MAX)}</bdi>
          </span>
          <button type="button" class="icon" aria-label={t("write.cancel")} title={`${t("write.cancel")} (Esc)`} onClick={leave}>
            <Icon name="close" size={18} />
          </button>
        </div>
      )}
      <div class="writing">
        <textarea
          ref={box}
          rows={1}
          value={text.value}
          dir="auto"
          placeholder={t("write.placeholder")}
          aria-label={t("write.label", {room: title})}
          aria-invalid={tooLong > 0}
          aria-describedby="write-count"
          enterkeyhint="send"
          onInput={(event) => {
            text.value = event.currentTarget.value;
            if (text.value && purpose.peek()?.kind !== "edit") typing.go();
          }}
          onKeyDown={keys}
          onCompositionStart={() => (composing.current = true)}
          onCompositionEnd={() => (composing.current = false)}
        />
        <button
          type="button"
          class="icon"
          aria-label={t("write.emoji")}
          title={t("write.emoji")}
          aria-expanded={picking.value !== undefined}
          onClick={(event) => (picking.value = picking.peek() ? undefined : beside(event.currentTarget))}
        >
          <Icon name="smile" />
        </button>
        <button type="submit" class="icon send" disabled={!ready} aria-label={sending} title={sending}>
          <Icon name={writingFor?.kind === "edit" ? "check" : "send"} />
        </button>
      </div>
      <p id="write-count" class={`count${tooLong > 0 ? " over" : ""}`} role="status" hidden={bytes.value < BYTES_WARN}>
        {tooLong > 0
          ? t("write.tooLong", {n: tooLong, max: BYTES_MAX})
          : bytes.value >= BYTES_WARN && t("write.left", {n: BYTES_MAX - bytes.value})}
      </p>
      {picking.value && <EmojiPicker at={picking.value} chosen={insert} close={() => (picking.value = undefined)} />}
    </form>
  );
}

/** Put these characters where the cursor is, as if they had been typed. */
export function writeInto(area: HTMLTextAreaElement, chars: string): void {
  area.setRangeText(chars, area.selectionStart, area.selectionEnd, "end");
  area.dispatchEvent(new InputEvent("input", {bubbles: true}));
  area.focus();
}

/** The signal that I am typing: every few seconds at most, and taken back when I have sent. */
function useTyping({talk}: Desk) {
  const told = useRef(-Infinity);
  return {
    go() {
      if (performance.now() - told.current < TYPING_EVERY_MS) return;
      told.current = performance.now();
      talk.changes.typing(false);
    },
    stop() {
      if (told.current > -Infinity) talk.changes.typing(true);
      told.current = -Infinity;
    },
  };
}
