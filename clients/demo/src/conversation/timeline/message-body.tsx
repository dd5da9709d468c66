/** The text of a message. Message text only ever becomes text nodes; the only elements are those created here. */
import type {ComponentChild} from "preact";
import {useState} from "preact/hooks";
import {t} from "../../i18n/i18n.ts";
import {type Item, type TextSegment, parseMarkup} from "../markup.ts";
import {truncate} from "../text.ts";
import {fullText} from "../time.ts";

const CHARS_SHOWN = 1_200; // longer texts are folded: about one screen of a phone
const LINES_SHOWN = 24;
const EMOJI = /\p{Emoji_Presentation}|\p{Extended_Pictographic}\ufe0f|\u20e3$/u;
const graphemes = new Intl.Segmenter();
const UNFOLD_FACTOR = 16; // each "show more" shows 16 times as much, so 64 KiB are open after two clicks

interface Props {
  text: string;
  editedAtMs?: number;
  /** The tabIndex of the links and buttons inside. */
  tabIndex?: number;
  onUnfold?: () => void;
  /** The delivery state, shown after the text. */
  deliveryMark?: ComponentChild;
}

export function MessageBody({text, editedAtMs = 0, tabIndex = -1, onUnfold, deliveryMark}: Props) {
  const [times, setTimes] = useState(1);
  const shown = truncate(text, CHARS_SHOWN * times, LINES_SHOWN * times);
  const unfold = (next: number): void => {
    onUnfold?.();
    setTimes(next);
  };
  const segments = parseMarkup(shown.text, shown.more > 0);
  // After the last word, or beside a block.
  const last = segments.at(-1);
  const block = !shown.more && (last?.kind === "list" || last?.kind === "quote" || (last?.kind === "code" && last.block));
  const tail = (editedAtMs > 0 || deliveryMark) && (
    <span class="tail">
      {editedAtMs > 0 && (
        <span class="edited" title={t("conversation.editedAt", {time: fullText(editedAtMs)})}>
          {t("conversation.edited")}
        </span>
      )}
      {deliveryMark}
    </span>
  );
  return (
    <>
      <div class="body-line">
        <div class={isEmoji(text) ? "body big" : "body"} dir="auto">
          {segments.map((segment, at) => renderSegment(segment, at, tabIndex))}
          {shown.more > 0 && "…"}
          {!block && tail}
        </div>
        {block && tail}
      </div>
      {shown.more > 0 && (
        <button type="button" class="fold" tabIndex={tabIndex} onClick={() => unfold(times * UNFOLD_FACTOR)}>
          {t("conversation.more", {n: shown.more})}
        </button>
      )}
      {!shown.more && times > 1 && (
        <button type="button" class="fold" tabIndex={tabIndex} onClick={() => unfold(1)}>
          {t("conversation.less")}
        </button>
      )}
    </>
  );
}

function renderSegment(segment: TextSegment, key: number, tabIndex: number): ComponentChild {
  const inside = (segments: readonly TextSegment[]) => segments.map((inner, at) => renderSegment(inner, at, tabIndex));
  switch (segment.kind) {
    case "text":
      return segment.text;
    case "link":
      return (
        <a key={key} tabIndex={tabIndex} href={segment.href} title={segment.href} target="_blank" rel="noopener noreferrer nofollow">
          {segment.text}
        </a>
      );
    case "symbol":
      return (
        <span key={key} class="symbol">
          {segment.text}
        </span>
      );
    case "code": {
      const code = <code key={key}>{inside(segment.segments)}</code>;
      return segment.block ? <pre key={key}>{code}</pre> : code;
    }
    case "quote":
      return (
        <blockquote key={key} dir="auto">
          {inside(segment.segments)}
        </blockquote>
      );
    case "list":
      return (
        <ul key={key}>
          {segment.items.map((item, at) => (
            <ListItem key={at} item={item}>
              {inside(item.segments)}
            </ListItem>
          ))}
        </ul>
      );
    default: {
      const Kind = segment.kind;
      return <Kind key={key}>{inside(segment.segments)}</Kind>;
    }
  }
}

/** With its number as typed: a later list may continue the numbering. */
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
