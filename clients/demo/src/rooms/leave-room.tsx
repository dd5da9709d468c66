/**
 * Asks for confirmation before leaving a room: returning to a group needs an invitation. A direct room is not left but
 * hidden, and is shown again with its next message.
 */
import {RoomKind} from "@tidings/client";
import {roomOf} from "./rooms.ts";
import {Confirm} from "../components/confirm.tsx";
import {useRequest} from "../components/request.ts";
import {currentRoute, openList} from "../navigation/route.ts";
import {session} from "../session/session.ts";
import {t} from "../i18n/i18n.ts";

const TEXT_KEYS = {
  [RoomKind.OPEN]: {title: "members.leaveTitle", text: "members.leaveOpen", action: "members.leave"},
  [RoomKind.GROUP]: {title: "members.leaveTitle", text: "members.leaveGroup", action: "members.leave"},
  [RoomKind.DIRECT]: {title: "members.hideTitle", text: "members.hide", action: "members.hideGo"},
} as const;

export function LeaveRoom({room, onClose}: {room: string; onClose: () => void}) {
  const request = useRequest();
  const {title, kind} = roomOf(room) ?? {title: room, kind: RoomKind.GROUP};
  const words = TEXT_KEYS[kind as keyof typeof TEXT_KEYS] ?? TEXT_KEYS[RoomKind.GROUP];
  const go = async () => {
    const roomClient = session.tidings.peek()!.room(room);
    if (!(await request.run(() => (kind === RoomKind.DIRECT ? roomClient.hide() : roomClient.leave())))) return;
    onClose();
    if (currentRoute.peek()?.room === room) openList();
  };
  return (
    <Confirm title={t(words.title, {room: title})} action={t(words.action)} isBusy={request.isBusy} error={request.error} onConfirm={go} onClose={onClose}>
      <p>{t(words.text, {name: title})}</p>
    </Confirm>
  );
}
