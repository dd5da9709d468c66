import {Role} from "@tidings/client";
import {t} from "../../i18n/i18n.ts";
import type {SystemMessage} from "../model/message.ts";
import {fullText, listText} from "../time.ts";

const NAMES_MAX = 4; // more users are counted, not named

const ROLE_TEXT_KEYS: Readonly<Record<number, "conversation.owner" | "conversation.moderator" | "conversation.reader">> = {
  [Role.OWNER]: "conversation.owner",
  [Role.MODERATOR]: "conversation.moderator",
  [Role.READER]: "conversation.reader",
};

/** A system message as one line. `about`: all users it is about. */
export function SystemMessageRow({message, about}: {message: SystemMessage; about: readonly string[]}) {
  return (
    <p class={`system-message ${message.kind}`} title={message.atMs ? fullText(message.atMs) : ""}>
      {textOf(message, about)}
    </p>
  );
}

function textOf({kind, actor, subject, seq, value}: SystemMessage, users: readonly string[]): string {
  const self = actor === subject;
  const user = joinedNames(users);
  switch (kind) {
    case "joined":
      return self ? t("conversation.joined", {user}) : t("conversation.added", {actor: isolate(actor), user});
    case "left":
      return self ? t("conversation.left", {user}) : t("conversation.removed", {actor: isolate(actor), user});
    case "role":
      return t(ROLE_TEXT_KEYS[value] ?? "conversation.added", {actor: isolate(actor), user});
    case "created":
      return t("conversation.created", {actor: isolate(actor)});
    case "gap":
      return t("conversation.gap", {n: value - seq + 1});
    default:
      return t("conversation.renamed", {actor: isolate(actor), title: isolate(subject)});
  }
}

/** "ada, bob and 3 others" */
function joinedNames(users: readonly string[]): string {
  const others = users.length - NAMES_MAX;
  // "1 other" is as long as a name.
  if (others < 2) return listText(users.map(isolate));
  return listText([...users.slice(0, NAMES_MAX).map(isolate), t("conversation.others", {n: others})]);
}

/** A name inside a sentence keeps its own text direction (First Strong Isolate … Pop Directional Isolate). */
function isolate(name: string): string {
  return `\u2068${name}\u2069`;
}
