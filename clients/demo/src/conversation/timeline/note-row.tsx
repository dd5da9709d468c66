import {Role} from "@tidings/client";
import {t} from "../../words/words.ts";
import type {Note} from "../model/message.ts";
import {fullText, listText} from "../time.ts";

const NAMES_MAX = 4; // of many people the first are named, the others are counted

const ROLES: Readonly<Record<number, "talk.owner" | "talk.moderator" | "talk.reader">> = {
  [Role.OWNER]: "talk.owner",
  [Role.MODERATOR]: "talk.moderator",
  [Role.READER]: "talk.reader",
};

/** What happened besides messages: one quiet line. `about`: everybody it happened to. */
export function NoteRow({note, about}: {note: Note; about: readonly string[]}) {
  return (
    <p class={`note ${note.kind}`} title={note.atMs ? fullText(note.atMs) : ""}>
      {textOf(note, about)}
    </p>
  );
}

function textOf({kind, actor, about, seq, value}: Note, all: readonly string[]): string {
  const self = actor === about;
  const user = named(all);
  switch (kind) {
    case "joined":
      return self ? t("talk.joined", {user}) : t("talk.brought", {actor: iso(actor), user});
    case "left":
      return self ? t("talk.left", {user}) : t("talk.removed", {actor: iso(actor), user});
    case "role":
      return t(ROLES[value] ?? "talk.brought", {actor: iso(actor), user});
    case "created":
      return t("talk.created", {actor: iso(actor)});
    case "gap":
      return t("talk.gap", {n: value - seq + 1});
    default:
      return t("talk.renamed", {actor: iso(actor), title: iso(about)});
  }
}

/** "ada, bob and 3 others" */
function named(users: readonly string[]): string {
  const others = users.length - NAMES_MAX;
  // One other would take as much room as a name.
  if (others < 2) return listText(users.map(iso));
  return listText([...users.slice(0, NAMES_MAX).map(iso), t("talk.others", {n: others})]);
}

/** A name inside a sentence: its direction of writing is its own (First Strong Isolate … Pop). */
function iso(name: string): string {
  return `\u2068${name}\u2069`;
}
