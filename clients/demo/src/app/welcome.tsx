/** No conversation is open. */
import {rooms, roomsComplete} from "../rooms/rooms.ts";
import {Button} from "../components/button.tsx";
import {session} from "../session/session.ts";
import {t} from "../i18n/i18n.ts";
import {OpenRooms} from "../rooms/open-rooms.tsx";
import {activeDialog} from "../navigation/overlays.ts";

export function Welcome() {
  const nobody = roomsComplete.value && rooms.value.length === 0;
  const begin = (
    <div class="actions">
      <Button icon="plus" kind={nobody ? "plain" : "primary"} onClick={() => (activeDialog.value = {what: "new"})}>
        {t("rooms.new")}
      </Button>
      {!nobody && (
        <Button icon="hash" onClick={() => (activeDialog.value = {what: "discover"})}>
          {t("rooms.discover")}
        </Button>
      )}
    </div>
  );
  return (
    <div class="welcome">
      <h1 dir="auto">{nobody ? t("welcome.empty", {name: session.me.value}) : t("welcome.title")}</h1>
      <p>{t(nobody ? "welcome.emptyLead" : "welcome.lead")}</p>
      {begin}
      {nobody && <OpenRooms />}
    </div>
  );
}
