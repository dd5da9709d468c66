import {Conversation} from "../conversation/index.tsx";
import {rooms} from "../model/rooms.ts";
import {chosen, open} from "../route.ts";
import {t} from "../words/words.ts";
import {WirePanel} from "../wire/index.tsx";

export function Shell() {
  const where = chosen.value;
  return (
    <>
      <nav aria-label={t("rooms.title")}>
        {rooms.value.map(({name, title, unread}) => (
          <button key={name} onClick={() => open(name)}>
            {title} {unread}
          </button>
        ))}
      </nav>
      {where && <Conversation key={where.room} room={where.room} {...(where.seq !== undefined && {jump: where.seq})} />}
      <WirePanel />
    </>
  );
}
