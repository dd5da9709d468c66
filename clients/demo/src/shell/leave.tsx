/** Asks before leaving a room: out of a group there is no way back without an invitation. */
import {RoomKind} from "@tidings/client";
import {roomOf} from "../model/rooms.ts";
import {Confirm} from "../parts/confirm.tsx";
import {chosen, home} from "../route.ts";
import {session} from "../session.ts";
import {t} from "../words/words.ts";
import {useTask} from "../parts/task.ts";

const WARNINGS = {[RoomKind.OPEN]: "members.leaveOpen", [RoomKind.DIRECT]: "members.leaveDirect"} as const;

export function Leave({room, onClose}: {room: string; onClose: () => void}) {
  const task = useTask();
  const {title, kind = RoomKind.GROUP} = roomOf(room) ?? {title: room};
  const go = async () => {
    if (!(await task.run(() => session.tidings.peek()!.room(room).leave()))) return;
    onClose();
    if (chosen.peek()?.room === room) home();
  };
  return (
    <Confirm title={t("members.leaveTitle", {room: title})} action={t("members.leave")} busy={task.busy} wrong={task.wrong} onConfirm={go} onClose={onClose}>
      <p>{t(WARNINGS[kind as keyof typeof WARNINGS] ?? "members.leaveGroup", {name: title})}</p>
    </Confirm>
  );
}
