/** Shown while no conversation is open. */
import {rooms, roomsComplete} from "../rooms/rooms.ts";
import {Button} from "../components/button.tsx";
import {session} from "../session/session.ts";
import {t} from "../i18n/i18n.ts";
import {OpenRooms} from "../rooms/open-rooms.tsx";
import {activeDialog} from "../navigation/overlays.ts";

export function Welcome() {
  const hasNoRooms = roomsComplete.value && rooms.value.length === 0;
  const begin = (
    <div class="actions">
      <Button icon="plus" kind={hasNoRooms ? "plain" : "primary"} onClick={() => (activeDialog.value = {what: "new"})}>
        {t("rooms.new")}
      </Button>
      {!hasNoRooms && (
        <Button icon="hash" onClick={() => (activeDialog.value = {what: "discover"})}>
          {t("rooms.discover")}
        </Button>
      )}
    </div>
  );
  return (
    <div class="welcome">
      <h1 dir="auto">{hasNoRooms ? t("welcome.empty", {name: session.me.value}) : t("welcome.title")}</h1>
      <p>{t(hasNoRooms ? "welcome.emptyLead" : "welcome.lead")}</p>
      {begin}
      {hasNoRooms && <OpenRooms />}
    </div>
  );
}
