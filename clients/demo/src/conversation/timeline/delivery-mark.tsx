/** The delivery state of my message: waiting, sent, delivered, read, failed. */
import {t} from "../../i18n/i18n.ts";
import type {ConversationModel} from "../model/conversation-model.ts";
import {listText} from "../time.ts";

const NAMES_MAX = 5;

type MarkState = "waiting" | "sent" | "delivered" | "read" | "failed";

const SHAPES: Readonly<Record<MarkState, string>> = {
  waiting: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M8 5v3.2l2 1.3",
  sent: "m3.5 8.5 3 3 6-7",
  delivered: "m1 8.5 3 3 6-7M7.5 11.5l6-7",
  read: "m1 8.5 3 3 6-7M7.5 11.5l6-7",
  failed: "M8 4.5v4M8 11v.1M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8",
};

export function StatusIcon({state, text, quiet = false}: {state: MarkState; text: string; quiet?: boolean}) {
  return (
    <span class={`mark ${state}${quiet ? " quiet" : ""}`} role="img" aria-label={text} title={text}>
      <svg viewBox="0 0 16 16" width="15" height="15" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round">
        <path d={SHAPES[state]} />
      </svg>
    </span>
  );
}

/**
 * The mark of a message that is in the log; updated when other members read on. If the `next` message right below has the
 * same state, this mark is quiet: it shows only while the message is pointed at.
 */
export function DeliveryMark({conversation, seq, next}: {conversation: ConversationModel; seq: number; next: number}) {
  const state = conversation.activity.deliveryOf(seq);
  const quiet = next > 0 && conversation.activity.deliveryOf(next) === state;
  if (state === "sent") return <StatusIcon state="sent" text={t("conversation.sent")} quiet={quiet} />;
  if (state === "delivered") return <StatusIcon state="delivered" text={t("conversation.delivered")} quiet={quiet} />;
  const users = conversation.activity.readers(seq);
  const named = listText(users.slice(0, NAMES_MAX));
  const text = users.length > NAMES_MAX ? t("conversation.readMany", {users: named, n: users.length - NAMES_MAX}) : t("conversation.read", {users: named});
  return <StatusIcon state="read" text={text} quiet={quiet} />;
}
