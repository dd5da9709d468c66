import {t} from "../i18n/i18n.ts";
import type {ConversationModel} from "./model/conversation-model.ts";

/** Shows who is typing. The line always takes its space, so that nothing moves when someone starts. */
export function TypingLine({conversation}: {conversation: ConversationModel}) {
  const [a = "", b = "", c] = conversation.activity.typing.value.map((user) => `\u2068${user}\u2069`);
  const text = c ? t("conversation.typing3") : b ? t("conversation.typing2", {a, b}) : a ? t("conversation.typing1", {a}) : "";
  return (
    <p class="typing truncated" aria-live="off">
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
