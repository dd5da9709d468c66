/** No conversation is open. */
import {rooms, roomsComplete} from "../model/rooms.ts";
import {Button} from "../parts/button.tsx";
import {session} from "../session.ts";
import {t} from "../words/words.ts";
import {OpenRooms} from "./discover.tsx";
import {opened} from "./shown.ts";

export function Welcome() {
  const nobody = roomsComplete.value && rooms.value.length === 0;
  const begin = (
    <div class="actions">
      <Button icon="plus" kind={nobody ? "plain" : "primary"} onClick={() => (opened.value = {what: "new"})}>
        {t("rooms.new")}
      </Button>
      {!nobody && (
        <Button icon="hash" onClick={() => (opened.value = {what: "discover"})}>
          {t("rooms.discover")}
        </Button>
      )}
    </div>
  );
  return (
    <div class="welcome">
      <h1 dir="auto">{nobody ? t("welcome.nobody", {name: session.me.value}) : t("welcome.title")}</h1>
      <p>{t(nobody ? "welcome.nobodyLead" : "welcome.lead")}</p>
      {begin}
      {nobody && <OpenRooms />}
    </div>
  );
}
