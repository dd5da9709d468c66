import {Role} from "@tidings/client";
import {t} from "../../i18n/i18n.ts";
import type {SystemMessage} from "../model/message.ts";
import {fullText, listText} from "../time.ts";

const NAMES_MAX = 4; // of many people the first are named, the others are counted

const ROLE_TEXT_KEYS: Readonly<Record<number, "conversation.owner" | "conversation.moderator" | "conversation.reader">> = {
  [Role.OWNER]: "conversation.owner",
  [Role.MODERATOR]: "conversation.moderator",
  [Role.READER]: "conversation.reader",
};

/** What happened besides messages: one quiet line. `about`: everybody it happened to. */
export function SystemMessageRow({note, about}: {note: SystemMessage; about: readonly string[]}) {
  return (
    <p class={`note ${note.kind}`} title={note.atMs ? fullText(note.atMs) : ""}>
      {textOf(note, about)}
    </p>
  );
}

function textOf({kind, actor, subject: about, seq, value}: SystemMessage, all: readonly string[]): string {
  const self = actor === about;
  const user = joinedNames(all);
  switch (kind) {
    case "joined":
      return self ? t("conversation.joined", {user}) : t("conversation.brought", {actor: isolate(actor), user});
    case "left":
      return self ? t("conversation.left", {user}) : t("conversation.removed", {actor: isolate(actor), user});
    case "role":
      return t(ROLE_TEXT_KEYS[value] ?? "conversation.brought", {actor: isolate(actor), user});
    case "created":
      return t("conversation.created", {actor: isolate(actor)});
    case "gap":
      return t("conversation.gap", {n: value - seq + 1});
    default:
      return t("conversation.renamed", {actor: isolate(actor), title: isolate(about)});
  }
}

/** "ada, bob and 3 others" */
function joinedNames(users: readonly string[]): string {
  const others = users.length - NAMES_MAX;
  // One other would take as much room as a name.
  if (others < 2) return listText(users.map(isolate));
  return listText([...users.slice(0, NAMES_MAX).map(isolate), t("conversation.others", {n: others})]);
}

/** A name inside a sentence: its direction of writing is its own (First Strong Isolate … Pop). */
function isolate(name: string): string {
  return `\u2068${name}\u2069`;
}
