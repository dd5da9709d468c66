/** One room: its head, the conversation, and what stands between them for somebody who is not a member. */
import {signal} from "@preact/signals";
import {Code, Failure, RoomKind, type RoomReply} from "@tidings/client";
import {useEffect} from "preact/hooks";
import {Conversation} from "../conversation/index.tsx";
import {roomOf, type RoomView, roomsComplete} from "../model/rooms.ts";
import {Button} from "../parts/button.tsx";
import {home} from "../route.ts";
import {session} from "../session.ts";
import {t} from "../words/words.ts";
import {Head} from "./room-head.tsx";
import {useTask} from "../parts/task.ts";

/** What the room that is open is to somebody who is not in it. */
type Outside = {readonly room: string} & ({readonly reply: RoomReply} | {readonly closed: true});
const outside = signal<Outside | undefined>(undefined);

export function RoomPage({room, jump}: {room: string; jump: bigint | undefined}) {
  const mine = roomOf(room);
  const stranger = mine === undefined && roomsComplete.value;
  useEffect(() => {
    if (stranger) void look(room);
  }, [room, stranger]);
  const seen = stranger && outside.value?.room === room ? outside.value : undefined;

  if (seen && "closed" in seen) return <Closed room={room} />;
  // Not known yet: a moment of an empty page is better than a conversation that turns out to be closed.
  if (stranger && !seen) return null;
  const reply = seen && "reply" in seen ? seen.reply : undefined;
  const shown = mine ?? (reply && lookOf(reply));
  return (
    <>
      <Head name={room} room={shown} />
      {reply?.room?.kind === RoomKind.OPEN && <Guest room={room} />}
      <Conversation room={room} {...(shown && {title: shown.title})} {...(jump !== undefined && {jump})} />
    </>
  );
}

function Guest({room}: {room: string}) {
  const task = useTask();
  return (
    <div class="guest">
      <p>{t("head.guest")}</p>
      {task.wrong && (
        <span class="wrong" role="alert">
          {task.wrong}
        </span>
      )}
      <Button kind="primary" disabled={task.busy} onClick={() => void task.run(() => session.tidings.peek()!.room(room).join())}>
        {t("head.join")}
      </Button>
    </div>
  );
}

function Closed({room}: {room: string}) {
  return (
    <div class="welcome">
      <h1>{t("gone.title")}</h1>
      <p dir="auto">{t("gone.lead", {room})}</p>
      <div class="actions">
        <Button kind="primary" onClick={home}>
          {t("gone.back")}
        </Button>
      </div>
    </div>
  );
}

async function look(room: string): Promise<void> {
  const client = session.tidings.peek();
  if (!client) return;
  outside.value = undefined;
  try {
    const reply = await client.room(room).get();
    if (session.tidings.peek() === client) outside.value = {room, reply};
  } catch (error) {
    const closed = error instanceof Failure && (error.code === Code.NOT_FOUND || error.code === Code.PERMISSION_DENIED || error.code === Code.INVALID_ARGUMENT);
    if (closed && session.tidings.peek() === client) outside.value = {room, closed};
  }
}

function lookOf({room}: RoomReply): Pick<RoomView, "title" | "kind" | "other" | "members" | "muted"> | undefined {
  return room && {title: room.title || room.room, kind: room.kind, other: undefined, members: room.members, muted: false};
}
