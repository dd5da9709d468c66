/**
 * Asks before leaving a room: out of a group there is no way back without an invitation. A room of two is not left but hidden, and
 * is back with its next message.
 */
import {RoomKind} from "@tidings/client";
import {roomOf} from "../model/rooms.ts";
import {Confirm} from "../parts/confirm.tsx";
import {useTask} from "../parts/task.ts";
import {chosen, home} from "../route.ts";
import {session} from "../session.ts";
import {t} from "../words/words.ts";

const WORDS = {
  [RoomKind.OPEN]: {title: "members.leaveTitle", text: "members.leaveOpen", action: "members.leave"},
  [RoomKind.GROUP]: {title: "members.leaveTitle", text: "members.leaveGroup", action: "members.leave"},
  [RoomKind.DIRECT]: {title: "members.hideTitle", text: "members.hide", action: "members.hideGo"},
} as const;

export function Leave({room, onClose}: {room: string; onClose: () => void}) {
  const task = useTask();
  const {title, kind} = roomOf(room) ?? {title: room, kind: RoomKind.GROUP};
  const words = WORDS[kind as keyof typeof WORDS] ?? WORDS[RoomKind.GROUP];
  const go = async () => {
    const its = session.tidings.peek()!.room(room);
    if (!(await task.run(() => (kind === RoomKind.DIRECT ? its.hide() : its.leave())))) return;
    onClose();
    if (chosen.peek()?.room === room) home();
  };
  return (
    <Confirm title={t(words.title, {room: title})} action={t(words.action)} busy={task.busy} wrong={task.wrong} onConfirm={go} onClose={onClose}>
      <p>{t(words.text, {name: title})}</p>
    </Confirm>
  );
}
