/** A card about a user, beside their name or avatar: presence, and buttons to message or mention them. */
import "./person-card.css";
import {useEffect, useRef} from "preact/hooks";
import {openDirectRoom} from "../rooms/direct-room.ts";
import {openRoom} from "../navigation/route.ts";
import {session} from "../session/session.ts";
import {t} from "../i18n/i18n.ts";
import {Avatar} from "./avatar.tsx";
import {Button} from "./button.tsx";
import {type Anchor, Popup} from "./popup.tsx";
import {PresenceLine} from "./presence.tsx";
import {useRequest} from "./request.ts";

interface Props {
  user: string;
  at: Anchor;
  close: () => void;
  /** Inserts the name into the composer; undefined if there is none. */
  mention?: (user: string) => void;
}

export function PersonCard({user, at, close, mention}: Props) {
  const request = useRequest();
  const box = useRef<HTMLDivElement>(null);
  const me = user === session.me.value;
  useEffect(() => (box.current?.querySelector("button") ?? box.current)?.focus(), []);
  const write = async () => {
    let room = "";
    if (!(await request.run(async () => (room = await openDirectRoom(user))))) return;
    close();
    openRoom(room);
  };
  return (
    <Popup at={at} label={t("person.label", {name: user})} close={close} align="start">
      <div class="person-card" ref={box} tabIndex={-1}>
        <div class="who">
          <Avatar user={user} size="large" dot />
          <span class="what">
            <bdi class="name">{user}</bdi>
            <span class="secondary">
              {me && `${t("members.me")} · `}
              <PresenceLine user={user} />
            </span>
          </span>
        </div>
        {request.error && (
          <p class="error" role="alert">
            {request.error}
          </p>
        )}
        {!me && (
          <div class="actions">
            <Button icon="person" disabled={request.isBusy} onClick={() => void write()}>
              {t("person.write")}
            </Button>
            {mention && (
              <Button
                icon="at"
                onClick={() => {
                  close();
                  mention(user);
                }}
              >
                {t("person.mention")}
              </Button>
            )}
          </div>
        )}
      </div>
    </Popup>
  );
}
