/** Are you sure: out of a group there is no way back without an invitation. */
import {RoomKind} from "@tidings/client";
import {roomOf} from "../model/rooms.ts";
import {Button} from "../parts/button.tsx";
import {Dialog} from "../parts/dialog.tsx";
import {chosen, home} from "../route.ts";
import {session} from "../session.ts";
import {t} from "../words/words.ts";
import {useTask} from "./task.ts";

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
    <Dialog title={t("members.leaveTitle", {room: title})} onClose={onClose}>
      <p>{t(WARNINGS[kind as keyof typeof WARNINGS] ?? "members.leaveGroup", {name: title})}</p>
      <p class="wrong" role="alert">
        {task.wrong}
      </p>
      <div class="actions">
        <Button autofocus onClick={onClose}>
          {t("cancel")}
        </Button>
        <Button kind="danger" disabled={task.busy} onClick={go}>
          {t("members.leave")}
        </Button>
      </div>
    </Dialog>
  );
}
