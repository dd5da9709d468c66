/** The dialog that creates a direct message, a group or an open room. */
import {RoomKind} from "@tidings/client";
import {useSignal} from "@preact/signals";
import {useState} from "preact/hooks";
import {Button} from "../components/button.tsx";
import {Dialog} from "../components/dialog.tsx";
import {Icon, type IconName} from "../components/icon.tsx";
import {openRoom} from "../navigation/route.ts";
import {session} from "../session/session.ts";
import {t} from "../i18n/i18n.ts";
import {NamesField, completedNames} from "../components/names-field.tsx";
import {NO_NAMES} from "../components/names-input.ts";
import {roomNameFrom} from "./room-name.ts";
import {useRequest} from "../components/request.ts";

const KINDS = [
  {kind: RoomKind.DIRECT, name: "new.direct", hint: "new.directHint", icon: "person"},
  {kind: RoomKind.GROUP, name: "new.group", hint: "new.groupHint", icon: "people"},
  {kind: RoomKind.OPEN, name: "new.open", hint: "new.openHint", icon: "hash"},
] as const satisfies readonly {kind: RoomKind; name: string; hint: string; icon: IconName}[];

export function NewRoom({onClose}: {onClose: () => void}) {
  const [kind, setKind] = useState<RoomKind>(RoomKind.DIRECT);
  const [name, setName] = useState("");
  const people = useSignal(NO_NAMES);
  const request = useRequest();
  const direct = kind === RoomKind.DIRECT;

  const submit = async (event: Event) => {
    event.preventDefault();
    const title = name.trim();
    const members = completedNames(people);
    if (!members) return request.setError(undefined);
    const problem = direct ? (members.length === 0 ? "new.noRecipient" : members.length > 1 ? "new.oneRecipient" : undefined) : title ? undefined : "new.unnamed";
    if (problem) return request.setError(t(problem));
    let created = "";
    const done = await request.run(async () => {
      const {room} = await session.tidings.peek()!.rooms.create(kind === RoomKind.OPEN ? roomNameFrom(title) : "", {kind, title: direct ? "" : title, members});
      created = room!.room;
    });
    if (!done) return;
    openRoom(created);
    onClose();
  };
  return (
    <Dialog title={t("new.title")} onClose={onClose}>
      <form class="form" onSubmit={submit} noValidate>
        <fieldset class="field">
          <legend class="visually-hidden">{t("new.kind")}</legend>
          <div class="segments">
            {KINDS.map((one) => (
              <label key={one.kind}>
                <input type="radio" name="kind" checked={kind === one.kind} onChange={() => setKind(one.kind)} />
                <Icon name={one.icon} size={16} />
                {t(one.name)}
              </label>
            ))}
          </div>
          <p class="hint">{t(KINDS.find((one) => one.kind === kind)!.hint)}</p>
        </fieldset>
        {!direct && (
          <div class="field">
            <label for="new-name">{t("new.name")}</label>
            <input id="new-name" class="input" value={name} dir="auto" autocomplete="off" placeholder={t("new.nameHint")} onInput={(event) => setName(event.currentTarget.value)} />
          </div>
        )}
        <NamesField label={t(direct ? "new.who" : "new.members")} hint={t(direct ? "new.whoHint" : "new.peopleHint")} people={people} autofocus />
        <p class="error" role="alert">
          {request.error}
        </p>
        <div class="actions">
          <Button onClick={onClose}>{t("cancel")}</Button>
          <Button type="submit" kind="primary" disabled={request.isBusy}>
            {t(direct ? "new.goDirect" : "new.go")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
