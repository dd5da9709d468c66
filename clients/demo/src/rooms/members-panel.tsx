/** The members of a room, and the form that adds members. */
import "./members-panel.css";
import {useSignal} from "@preact/signals";
import {type MembersReply, Role, RoomKind} from "@tidings/client";
import type {TargetedMouseEvent} from "preact";
import {useCallback, useEffect, useState} from "preact/hooks";
import {openDirectRoom} from "./direct-room.ts";
import {roomOf} from "./rooms.ts";
import {Avatar} from "../components/avatar.tsx";
import {Button, IconButton} from "../components/button.tsx";
import {Confirm} from "../components/confirm.tsx";
import {Menu, type MenuItem} from "../components/menu.tsx";
import {PersonCard} from "../components/person-card.tsx";
import {anchorOf, type Anchor} from "../components/popup.tsx";
import {PresenceLine} from "../components/presence.tsx";
import {openRoom} from "../navigation/route.ts";
import {session} from "../session/session.ts";
import {formatCount} from "../i18n/format.ts";
import {t} from "../i18n/i18n.ts";
import {NamesField, completedNames} from "../components/names-field.tsx";
import {completed, NO_NAMES} from "../components/names-input.ts";
import {activeDialog, activePanel} from "../navigation/overlays.ts";
import {useRequest, errorText} from "../components/request.ts";

type MemberState = MembersReply["members"][number];

const PAGE_MEMBERS = 100;
const MANAGER_ROLES: readonly Role[] = [Role.OWNER, Role.MODERATOR];

export function MembersPanel({room}: {room: string}) {
  const mine = roomOf(room);
  const [members, setMembers] = useState<readonly MemberState[]>([]);
  const [more, setMore] = useState(false);
  const request = useRequest();
  const close = () => (activePanel.value = undefined);

  const fetchMembers = (after: string) =>
    request.run(async () => {
      const reply = await session.tidings.peek()!.room(room).members({after, limit: PAGE_MEMBERS});
      setMembers((before) => (after ? [...before, ...reply.members] : reply.members));
      setMore(reply.more);
    });
  // Members or my role changed, which also changes whose presence I may see.
  useEffect(() => void fetchMembers(""), [room, mine?.members, mine?.role]);

  const manages = mine !== undefined && MANAGER_ROLES.includes(mine.role) && mine.kind !== RoomKind.DIRECT;
  return (
    <aside class="side-panel members" aria-label={t("members.title")}>
      <header>
        <h2>{t("members.title")}</h2>
      </header>
      <IconButton icon="close" label={t("close")} onClick={close} />
      {manages && <InviteForm room={room} onDone={() => void fetchMembers("")} />}
      <h3>
        {t("members.people")} {mine && <span class="secondary">{formatCount(mine.members)}</span>}
      </h3>
      <p class="error" role="alert">
        {request.error && t("members.fetch", {why: request.error})}
      </p>
      <ul>
        {members.map((member) => (
          <MemberEntry key={member.user} room={room} member={member} manages={manages} onDone={() => void fetchMembers("")} />
        ))}
      </ul>
      {more && (
        <Button disabled={request.isBusy} onClick={() => void fetchMembers(members.at(-1)?.user ?? "")}>
          {t("more")}
        </Button>
      )}
      <RoomAddress room={room} />
      {mine && (
        <div class="leaving">
          <Button kind="bare" icon="leave" onClick={() => (activeDialog.value = {what: "leave", room})}>
            {t(mine.kind === RoomKind.DIRECT ? "head.hide" : "head.leave")}
          </Button>
        </div>
      )}
    </aside>
  );
}

/** The name of the room, for other clients. Titles may repeat; names are unique. */
function RoomAddress({room}: {room: string}) {
  const [copied, setCopied] = useState(false);
  const request = useRequest();
  useEffect(() => setCopied(false), [room]);
  const copy = () => void request.run(() => navigator.clipboard.writeText(room)).then(setCopied);
  return (
    <div class="address secondary">
      <span>{t("members.address")}</span>
      {/* Browsers allow copying on HTTPS and localhost only; elsewhere a click selects the whole name. */}
      {navigator.clipboard !== undefined && <IconButton icon={copied ? "check" : "copy"} label={t("members.copy")} onClick={copy} />}
      <span role="status">{copied && t("members.copied")}</span>
      <code dir="auto">{room}</code>
      {request.error && <span class="error">{request.error}</span>}
    </div>
  );
}

function InviteForm({room, onDone}: {room: string; onDone: () => void}) {
  const people = useSignal(NO_NAMES);
  const request = useRequest();
  const submit = async (event: Event) => {
    event.preventDefault();
    const names = completedNames(people);
    if (!names) return request.setError(undefined);
    const failed: string[] = [];
    const problems: string[] = [];
    await request.run(async () => {
      for (const name of names) {
        try {
          await session.tidings.peek()!.room(room).join(name);
        } catch (error) {
          failed.push(name);
          problems.push(t("members.failed", {name, why: errorText(error)}));
        }
      }
    });
    people.value = {...people.peek(), names: failed};
    request.setError(problems.join("\n") || undefined);
    onDone();
  };
  const hasNames = completed(people.value).names.length > 0;
  return (
    <form onSubmit={submit} noValidate>
      <div class="inviting">
        <NamesField label={t("members.invite")} placeholder={t("members.inviteHint")} people={people} />
        <Button type="submit" kind={hasNames ? "primary" : "plain"} disabled={request.isBusy || !hasNames}>
          {t("members.go")}
        </Button>
      </div>
      <p class="error" role="alert">
        {request.error}
      </p>
    </form>
  );
}

function MemberEntry({room, member: {user, role}, manages, onDone}: {room: string; member: MemberState; manages: boolean; onDone: () => void}) {
  const request = useRequest();
  const [at, setAt] = useState<Anchor | undefined>(undefined);
  const [isConfirming, setConfirming] = useState(false);
  const me = session.me.value;
  const change = (work: () => Promise<unknown>) => void request.run(work).then((done) => done && onDone());
  const roomClient = () => session.tidings.peek()!.room(room);
  const write = async () => {
    let name = "";
    if (await request.run(async () => (name = await openDirectRoom(user)))) openRoom(name);
  };
  const closeCard = useCallback(() => setAt(undefined), []);
  const card = (event: TargetedMouseEvent<HTMLElement>) => setAt(anchorOf(event.currentTarget));
  const items: MenuItem[] = [];
  if (user !== me && roomOf(room)?.kind !== RoomKind.DIRECT) items.push({text: t("members.write", {name: user}), icon: "person", onSelect: () => void write()});
  if (manages && user !== me) {
    const mayMake = [Role.OWNER, Role.MODERATOR, Role.MEMBER, Role.READER].filter((other) => other !== role && (other !== Role.OWNER || roomOf(room)?.role === Role.OWNER));
    for (const other of mayMake) items.push({text: t("members.make", {role: t(`role.${other as 1 | 2 | 3 | 4}`)}), icon: "check", onSelect: () => change(() => roomClient().join(user, other))});
    items.push({text: t("members.remove"), icon: "close", isDangerous: true, onSelect: () => setConfirming(true)});
  }
  return (
    <li>
      <button type="button" class="picture" tabIndex={-1} aria-hidden="true" onClick={card}>
        <Avatar user={user} dot />
      </button>
      <span class="what">
        <span class="name">
          <button type="button" class="truncated" onClick={card}>
            <bdi>{user}</bdi>
          </button>
          {user === me && <span class="secondary">({t("members.me")})</span>}
          {role !== Role.MEMBER && role !== Role.ROLE_UNSPECIFIED && <span class="role">{t(`role.${role as 1 | 2 | 3 | 4}`)}</span>}
        </span>
        <span class="secondary truncated">
          <PresenceLine user={user} />
        </span>
        {request.error && (
          <span class="error" role="alert">
            {request.error}
          </span>
        )}
      </span>
      {items.length > 0 && <Menu label={t("members.change", {name: user})} items={items} />}
      {at && <PersonCard user={user} at={at} close={closeCard} />}
      {isConfirming && (
        <Confirm
          title={t("members.removeTitle", {name: user})}
          action={t("members.removeGo")}
          onConfirm={() => {
            setConfirming(false);
            change(() => roomClient().leave(user));
          }}
          onClose={() => setConfirming(false)}
        >
          <p>{t("members.removeSure")}</p>
        </Confirm>
      )}
    </li>
  );
}
