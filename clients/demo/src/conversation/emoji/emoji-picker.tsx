import {useEffect, useRef, useState} from "preact/hooks";
import {moveFocus, type Anchor, Popup} from "../../components/popup.tsx";
import {language, t} from "../../i18n/i18n.ts";
import {findEmoji} from "./emoji.ts";

const COLUMNS = 8;

/** An emoji picker with a search field. Enter in the search field selects the first match. */
export function EmojiPicker({at, onSelect, onClose}: {at: Anchor; onSelect: (char: string) => void; onClose: () => void}) {
  const [query, setQuery] = useState("");
  const search = useRef<HTMLInputElement>(null);
  const grid = useRef<HTMLDivElement>(null);
  const found = findEmoji(query);
  useEffect(() => {
    // On a phone the search field would open the keyboard, which covers half of the grid.
    if (matchMedia("(pointer: coarse)").matches) grid.current?.querySelector("button")?.focus();
    else search.current?.focus();
  }, []);
  const keys = (event: KeyboardEvent): void => {
    if (event.target !== search.current) {
      const first = grid.current?.querySelector("button");
      if (event.key === "ArrowUp" && document.activeElement && first && rowOf(document.activeElement) === 0) {
        event.preventDefault();
        search.current?.focus();
      } else if (grid.current) moveFocus(event, grid.current, COLUMNS);
    } else if (event.key === "ArrowDown") {
      event.preventDefault();
      grid.current?.querySelector("button")?.focus();
    } else if (event.key === "Enter" && !event.isComposing && found[0]) {
      event.preventDefault();
      onSelect(found[0].char);
    }
  };
  const rowOf = (item: Element): number => Math.floor([...(grid.current?.children ?? [])].indexOf(item) / COLUMNS);
  return (
    <Popup at={at} label={t("emoji.label")} close={onClose}>
      <div class="emoji" onKeyDown={keys}>
        <input
          ref={search}
          type="search"
          value={query}
          placeholder={t("emoji.search")}
          aria-label={t("emoji.search")}
          onInput={(event) => setQuery(event.currentTarget.value)}
        />
        <div class="grid" ref={grid}>
          {found.map(({char, en, zh}) => {
            const name = language.value === "zh" ? zh : en;
            return (
              <button key={char} type="button" tabIndex={-1} aria-label={name} title={name} onClick={() => onSelect(char)}>
                {char}
              </button>
            );
          })}
        </div>
        {!found.length && <p class="none">{t("emoji.none")}</p>}
      </div>
    </Popup>
  );
}
