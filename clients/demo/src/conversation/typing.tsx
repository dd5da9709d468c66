import {t} from "../words/words.ts";
import type {Talk} from "./model/talk.ts";

/** Who is typing. The line is always there, so that nothing moves when somebody begins. */
export function TypingLine({talk}: {talk: Talk}) {
  const [a = "", b = "", c] = talk.others.typing.value.map((user) => `\u2068${user}\u2069`);
  const text = c ? t("talk.typing3") : b ? t("talk.typing2", {a, b}) : a ? t("talk.typing1", {a}) : "";
  return (
    <p class="typing cut" aria-live="off">
      {text && (
        <span class="dots" aria-hidden="true">
          <i />
          <i />
          <i />
        </span>
      )}
      {text}
    </p>
  );
}
