import {Role} from "@tidings/client";
import {t} from "../../words/words.ts";
import type {Note} from "../model/message.ts";
import {fullText} from "../time.ts";

const ROLES: Readonly<Record<number, "talk.owner" | "talk.moderator" | "talk.reader">> = {
  [Role.OWNER]: "talk.owner",
  [Role.MODERATOR]: "talk.moderator",
  [Role.READER]: "talk.reader",
};

/** What happened besides messages: one quiet line. */
export function NoteRow({note}: {note: Note}) {
  return (
    <p class={`note ${note.kind}`} title={note.atMs ? fullText(note.atMs) : ""}>
      {textOf(note)}
    </p>
  );
}

function textOf({kind, actor, about, seq, value}: Note): string {
  const self = actor === about;
  switch (kind) {
    case "joined":
      return self ? t("talk.joined", {user: iso(about)}) : t("talk.brought", {actor: iso(actor), user: iso(about)});
    case "left":
      return self ? t("talk.left", {user: iso(about)}) : t("talk.removed", {actor: iso(actor), user: iso(about)});
    case "role":
      return t(ROLES[value] ?? "talk.brought", {actor: iso(actor), user: iso(about)});
    case "created":
      return t("talk.created", {actor: iso(actor)});
    case "gap":
      return t("talk.gap", {n: value - seq + 1});
    default:
      return t("talk.renamed", {actor: iso(actor), title: iso(about)});
  }
}

/** A name inside a sentence: its direction of writing is its own (First Strong Isolate … Pop). */
function iso(name: string): string {
  return `\u2068${name}\u2069`;
}
