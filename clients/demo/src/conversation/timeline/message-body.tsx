/** A message's text. Everything becomes text nodes; the only elements are those made here. */
import type {ComponentChild} from "preact";
import {useState} from "preact/hooks";
import {t} from "../../i18n/i18n.ts";
import {type Item, type TextSegment, parseMarkup} from "../markup.ts";
import {truncate} from "../text.ts";
import {fullText} from "../time.ts";

const CHARS_SHOWN = 1_200; // more than a screen of a phone is folded
const LINES_SHOWN = 24;
const EMOJI = /\p{Emoji_Presentation}|\p{Extended_Pictographic}\ufe0f|\u20e3$/u;
const graphemes = new Intl.Segmenter();
const UNFOLD_FACTOR = 16; // each "show more" shows so many times as much: 64 KiB are open after two

interface Props {
  text: string;
  editedAtMs?: number;
  /** The tabIndex of what is inside. */
  tabIndex?: number;
  onUnfold?: () => void;
  /** What became of the message: stands behind its text. */
  deliveryMark?: ComponentChild;
}

export function MessageBody({text, editedAtMs = 0, tabIndex: stop = -1, onUnfold: unfolding, deliveryMark: mark}: Props) {
  const [times, setTimes] = useState(1);
  const shown = truncate(text, CHARS_SHOWN * times, LINES_SHOWN * times);
  const unfold = (next: number): void => {
    unfolding?.();
    setTimes(next);
  };
  const pieces = parseMarkup(shown.text, shown.more > 0);
  // Behind the last word, or beside lines of their own.
  const last = pieces.at(-1);
  const block = !shown.more && (last?.kind === "list" || last?.kind === "quote" || (last?.kind === "code" && last.block));
  const tail = (editedAtMs > 0 || mark) && (
    <span class="tail">
      {editedAtMs > 0 && (
        <span class="edited" title={t("conversation.editedAt", {time: fullText(editedAtMs)})}>
          {t("conversation.edited")}
        </span>
      )}
      {mark}
    </span>
  );
  return (
    <>
      <div class="said">
        <div class={isEmoji(text) ? "body big" : "body"} dir="auto">
          {pieces.map((piece, place) => renderSegment(piece, place, stop))}
          {shown.more > 0 && "…"}
          {!block && tail}
        </div>
        {block && tail}
      </div>
      {shown.more > 0 && (
        <button type="button" class="fold" tabIndex={stop} onClick={() => unfold(times * UNFOLD_FACTOR)}>
          {t("conversation.more", {n: shown.more})}
        </button>
      )}
      {!shown.more && times > 1 && (
        <button type="button" class="fold" tabIndex={stop} onClick={() => unfold(1)}>
          {t("conversation.less")}
        </button>
      )}
    </>
  );
}

function renderSegment(piece: TextSegment, place: number, stop: number): ComponentChild {
  const inside = (pieces: readonly TextSegment[]) => pieces.map((inner, at) => renderSegment(inner, at, stop));
  switch (piece.kind) {
    case "text":
      return piece.text;
    case "link":
      return (
        <a key={place} tabIndex={stop} href={piece.href} title={piece.href} target="_blank" rel="noopener noreferrer nofollow">
          {piece.text}
        </a>
      );
    case "symbol":
      return (
        <span key={place} class="symbol">
          {piece.text}
        </span>
      );
    case "code": {
      const code = <code key={place}>{inside(piece.pieces)}</code>;
      return piece.block ? <pre key={place}>{code}</pre> : code;
    }
    case "quote":
      return (
        <blockquote key={place} dir="auto">
          {inside(piece.pieces)}
        </blockquote>
      );
    case "list":
      return (
        <ul key={place}>
          {piece.items.map((item, at) => (
            <ListItem key={at} item={item}>
              {inside(item.pieces)}
            </ListItem>
          ))}
        </ul>
      );
    default: {
      const Kind = piece.kind;
      return <Kind key={place}>{inside(piece.pieces)}</Kind>;
    }
  }
}

/** With its number as it was written: the next list may go on where this one ends. */
function ListItem({item: {number, depth}, children}: {item: Item; children: ComponentChild}) {
  return (
    <li class={`depth-${depth}`} dir="auto">
      <span class="sign">{number ? `${number}.` : "•"}</span>
      <span>{children}</span>
    </li>
  );
}

/** One to three emoji and nothing else are shown large. */
function isEmoji(text: string): boolean {
  if (text.length > 40) return false;
  const chars = [...graphemes.segment(text)].map(({segment}) => segment).filter((char) => char.trim());
  return chars.length > 0 && chars.length <= 3 && chars.every((char) => EMOJI.test(char));
}
