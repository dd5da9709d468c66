/** Who is in a room, and bringing others in. */
import "./members.css";
import {useSignal} from "@preact/signals";
import {type MembersReply, Role, RoomKind} from "@tidings/client";
import type {TargetedMouseEvent} from "preact";
import {useCallback, useEffect, useState} from "preact/hooks";
import {directWith} from "../model/direct.ts";
import {roomOf} from "../model/rooms.ts";
import {Avatar} from "../parts/avatar.tsx";
import {Button, IconButton} from "../parts/button.tsx";
import {Confirm} from "../parts/confirm.tsx";
import {Menu, type MenuItem} from "../parts/menu.tsx";
import {PersonCard} from "../parts/person-card.tsx";
import {beside, type Place} from "../parts/popup.tsx";
import {PresenceLine} from "../parts/presence.tsx";
import {open} from "../route.ts";
import {session} from "../session.ts";
import {t} from "../words/words.ts";
import {PeopleField, peopleOf} from "./people-field.tsx";
import {finished, NO_PEOPLE} from "./people-names.ts";
import {opened, panel} from "./shown.ts";
import {useTask, why} from "../parts/task.ts";

type MemberState = MembersReply["members"][number];

const PAGE_MEMBERS = 100;
const MANAGING: readonly Role[] = [Role.OWNER, Role.MODERATOR];

export function Members({room}: {room: string}) {
  const mine = roomOf(room);
  const [members, setMembers] = useState<readonly MemberState[]>([]);
  const [more, setMore] = useState(false);
  const task = useTask();
  const close = () => (panel.value = undefined);

  const fetchMembers = (after: string) =>
    task.run(async () => {
      const reply = await session.tidings.peek()!.room(room).members({after, limit: PAGE_MEMBERS});
      setMembers((before) => (after ? [...before, ...reply.members] : reply.members));
      setMore(reply.more);
    });
  // Somebody came, left or got another role: the room's log went on, and who of its members I am told of may be different.
  useEffect(() => void fetchMembers(""), [room, mine?.members, mine?.role]);

  const manages = mine !== undefined && MANAGING.includes(mine.role) && mine.kind !== RoomKind.DIRECT;
  return (
    <aside class="beside members" aria-label={t("members.title")}>
      <header>
        <h2>{t("members.title")}</h2>
      </header>
      <IconButton icon="close" label={t("close")} onClick={close} />
      {manages && <Invite room={room} onDone={() => void fetchMembers("")} />}
      <h3>
        {t("members.people")} {mine && <span class="soft">{mine.members.toLocaleString()}</span>}
      </h3>
      <p class="wrong" role="alert">
        {task.wrong && t("members.fetch", {why: task.wrong})}
      </p>
      <ul>
        {members.map((member) => (
          <Entry key={member.user} room={room} member={member} manages={manages} onDone={() => void fetchMembers("")} />
        ))}
      </ul>
      {more && (
        <Button disabled={task.busy} onClick={() => void fetchMembers(members.at(-1)?.user ?? "")}>
          {t("more")}
        </Button>
      )}
      <Address room={room} />
      {mine && (
        <div class="leaving">
          <Button kind="bare" icon="leave" onClick={() => (opened.value = {what: "leave", room})}>
            {t(mine.kind === RoomKind.DIRECT ? "head.hide" : "head.leave")}
          </Button>
        </div>
      )}
    </aside>
  );
}

/** What the room is called outside of this page. Two rooms may have one title; no two have one name. */
function Address({room}: {room: string}) {
  const [copied, setCopied] = useState(false);
  const task = useTask();
  useEffect(() => setCopied(false), [room]);
  const copy = () => void task.run(() => navigator.clipboard.writeText(room)).then(setCopied);
  return (
    <div class="address soft">
      <span>{t("members.address")}</span>
      {/* Browsers let pages copy over HTTPS and on this machine only; elsewhere a click marks the whole name. */}
      {navigator.clipboard !== undefined && <IconButton icon={copied ? "check" : "copy"} label={t("members.copy")} onClick={copy} />}
      <span role="status">{copied && t("members.copied")}</span>
      <code dir="auto">{room}</code>
      {task.wrong && <span class="wrong">{task.wrong}</span>}
    </div>
  );
}

function Invite({room, onDone}: {room: string; onDone: () => void}) {
  const people = useSignal(NO_PEOPLE);
  const task = useTask();
  const submit = async (event: Event) => {
    event.preventDefault();
    const names = peopleOf(people);
    if (!names) return task.say(undefined);
    const left: string[] = [];
    const problems: string[] = [];
    await task.run(async () => {
      for (const name of names) {
        try {
          await session.tidings.peek()!.room(room).join(name);
        } catch (error) {
          left.push(name);
          problems.push(t("members.failed", {name, why: why(error)}));
        }
      }
    });
    people.value = {...people.peek(), names: left};
    task.say(problems.join("\n") || undefined);
    onDone();
  };
  const some = finished(people.value).names.length > 0;
  return (
    <form onSubmit={submit} noValidate>
      <div class="inviting">
        <PeopleField label={t("members.invite")} placeholder={t("members.inviteHint")} people={people} />
        <Button type="submit" kind={some ? "primary" : "plain"} disabled={task.busy || !some}>
          {t("members.go")}
        </Button>
      </div>
      <p class="wrong" role="alert">
        {task.wrong}
      </p>
    </form>
  );
}

function Entry({room, member: {user, role}, manages, onDone}: {room: string; member: MemberState; manages: boolean; onDone: () => void}) {
  const task = useTask();
  const [at, setAt] = useState<Place | undefined>(undefined);
  const [asking, setAsking] = useState(false);
  const me = session.me.value;
  const change = (work: () => Promise<unknown>) => void task.run(work).then((done) => done && onDone());
  const its = () => session.tidings.peek()!.room(room);
  const write = async () => {
    let name = "";
    if (await task.run(async () => (name = await directWith(user)))) open(name);
  };
  const closeCard = useCallback(() => setAt(undefined), []);
  const card = (event: TargetedMouseEvent<HTMLElement>) => setAt(beside(event.currentTarget));
  const items: MenuItem[] = [];
  if (user !== me && roomOf(room)?.kind !== RoomKind.DIRECT) items.push({text: t("members.write", {name: user}), icon: "person", do: () => void write()});
  if (manages && user !== me) {
    const mayMake = [Role.OWNER, Role.MODERATOR, Role.MEMBER, Role.READER].filter((other) => other !== role && (other !== Role.OWNER || roomOf(room)?.role === Role.OWNER));
    for (const other of mayMake) items.push({text: t("members.make", {role: t(`role.${other as 1 | 2 | 3 | 4}`)}), icon: "check", do: () => change(() => its().join(user, other))});
    items.push({text: t("members.remove"), icon: "close", danger: true, do: () => setAsking(true)});
  }
  return (
    <li>
      <button type="button" class="picture" tabIndex={-1} aria-hidden="true" onClick={card}>
        <Avatar user={user} dot />
      </button>
      <span class="what">
        <span class="name">
          <button type="button" class="cut" onClick={card}>
            <bdi>{user}</bdi>
          </button>
          {user === me && <span class="soft">({t("members.me")})</span>}
          {role !== Role.MEMBER && role !== Role.ROLE_UNSPECIFIED && <span class="role">{t(`role.${role as 1 | 2 | 3 | 4}`)}</span>}
        </span>
        <span class="soft cut">
          <PresenceLine user={user} />
        </span>
        {task.wrong && (
          <span class="wrong" role="alert">
            {task.wrong}
          </span>
        )}
      </span>
      {items.length > 0 && <Menu label={t("members.change", {name: user})} items={items} />}
      {at && <PersonCard user={user} at={at} close={closeCard} />}
      {asking && (
        <Confirm
          title={t("members.removeTitle", {name: user})}
          action={t("members.removeGo")}
          onConfirm={() => {
            setAsking(false);
            change(() => its().leave(user));
          }}
          onClose={() => setAsking(false)}
        >
          <p>{t("members.removeSure")}</p>
        </Confirm>
      )}
    </li>
  );
}
