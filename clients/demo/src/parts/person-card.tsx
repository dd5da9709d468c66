/** Who somebody is, beside their name or picture: whether they are online, and ways to write to them. */
import "./person-card.css";
import {useEffect, useRef} from "preact/hooks";
import {directWith} from "../model/direct.ts";
import {open} from "../route.ts";
import {session} from "../session.ts";
import {t} from "../words/words.ts";
import {Avatar} from "./avatar.tsx";
import {Button} from "./button.tsx";
import {type Place, Popup} from "./popup.tsx";
import {PresenceLine} from "./presence.tsx";
import {useTask} from "./task.ts";

interface Props {
  user: string;
  at: Place;
  close: () => void;
  /** Writes the name into a message; left out where there is nothing to write in. */
  mention?: (user: string) => void;
}

export function PersonCard({user, at, close, mention}: Props) {
  const task = useTask();
  const box = useRef<HTMLDivElement>(null);
  const me = user === session.me.value;
  useEffect(() => (box.current?.querySelector("button") ?? box.current)?.focus(), []);
  const write = async () => {
    let room = "";
    if (!(await task.run(async () => (room = await directWith(user))))) return;
    close();
    open(room);
  };
  return (
    <Popup at={at} label={t("person.label", {name: user})} close={close} align="start">
      <div class="person-card" ref={box} tabIndex={-1}>
        <div class="who">
          <Avatar user={user} size="large" dot />
          <span class="what">
            <bdi class="name">{user}</bdi>
            <span class="soft">
              {me && `${t("members.me")} · `}
              <PresenceLine user={user} />
            </span>
          </span>
        </div>
        {task.wrong && (
          <p class="wrong" role="alert">
            {task.wrong}
          </p>
        )}
        {!me && (
          <div class="ways">
            <Button icon="person" disabled={task.busy} onClick={() => void write()}>
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
