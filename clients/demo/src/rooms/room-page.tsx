/** One room: header, conversation, and the bar to join for a user who is not a member. */
import {signal} from "@preact/signals";
import {Code, ApiError, RoomKind, type RoomReply} from "@tidings/client";
import {useEffect, useRef} from "preact/hooks";
import {Conversation} from "../conversation/conversation.tsx";
import {roomOf, type RoomView, roomsComplete} from "./rooms.ts";
import {Button} from "../components/button.tsx";
import {openList} from "../navigation/route.ts";
import {session} from "../session/session.ts";
import {t} from "../i18n/i18n.ts";
import {RoomHeader} from "./room-header.tsx";
import {useRequest} from "../components/request.ts";

/** The open room as the service shows it to a user who is not a member. */
type RoomInfo = {readonly room: string} & ({readonly reply: RoomReply} | {readonly closed: true});
const roomInfo = signal<RoomInfo | undefined>(undefined);

export function RoomPage({room, jump}: {room: string; jump: bigint | undefined}) {
  const mine = roomOf(room);
  const isNonMember = mine === undefined && roomsComplete.value;
  const wasShown = useRef(false);
  useEffect(() => {
    if (isNonMember) void fetchRoomInfo(room);
  }, [room, isNonMember]);
  const seen = isNonMember && roomInfo.value?.room === room ? roomInfo.value : undefined;

  if (seen && "closed" in seen) return <NoAccess room={room} />;
  // Not known yet: show nothing rather than a conversation that may turn out to be inaccessible. One that is shown already
  // stays, because without a connection the reply may not arrive.
  if (isNonMember && !seen && !wasShown.current) return null;
  wasShown.current = true;
  const reply = seen && "reply" in seen ? seen.reply : undefined;
  const shown = mine ?? (reply && summaryOf(reply));
  return (
    <>
      <RoomHeader name={room} room={shown} />
      {reply?.room?.kind === RoomKind.OPEN && <JoinBar room={room} />}
      <Conversation room={room} {...(shown && {title: shown.title})} {...(jump !== undefined && {jump})} />
    </>
  );
}

function JoinBar({room}: {room: string}) {
  const request = useRequest();
  return (
    <div class="guest">
      <p>{t("head.guest")}</p>
      {request.error && (
        <span class="error" role="alert">
          {request.error}
        </span>
      )}
      <Button kind="primary" disabled={request.isBusy} onClick={() => void request.run(() => session.tidings.peek()!.room(room).join())}>
        {t("head.join")}
      </Button>
    </div>
  );
}

function NoAccess({room}: {room: string}) {
  return (
    <div class="welcome">
      <h1>{t("noAccess.title")}</h1>
      <p dir="auto">{t("noAccess.lead", {room})}</p>
      <div class="actions">
        <Button kind="primary" onClick={openList}>
          {t("noAccess.back")}
        </Button>
      </div>
    </div>
  );
}

async function fetchRoomInfo(room: string): Promise<void> {
  const client = session.tidings.peek();
  if (!client) return;
  roomInfo.value = undefined;
  try {
    const reply = await client.room(room).get();
    if (session.tidings.peek() === client) roomInfo.value = {room, reply};
  } catch (error) {
    const closed = error instanceof ApiError && (error.code === Code.NOT_FOUND || error.code === Code.PERMISSION_DENIED || error.code === Code.INVALID_ARGUMENT);
    if (closed && session.tidings.peek() === client) roomInfo.value = {room, closed};
  }
}

function summaryOf({room}: RoomReply): Pick<RoomView, "title" | "kind" | "peer" | "members" | "muted"> | undefined {
  return room && {title: room.title || room.room, kind: room.kind, peer: undefined, members: room.members, muted: false};
}
