/** Settings: account, status, theme and language. */
import "./settings.css";
import {Status} from "@tidings/client";
import {useState} from "preact/hooks";
import {presenceSignal} from "../presence/presence.ts";
import {Avatar} from "../components/avatar.tsx";
import {Button} from "../components/button.tsx";
import {Dialog} from "../components/dialog.tsx";
import {PresenceLine} from "../components/presence.tsx";
import {session, signOut} from "../session/session.ts";
import {theme, THEMES} from "./theme.ts";
import {LANGUAGES, language, setLanguage, t} from "../i18n/i18n.ts";
import {activeDialog} from "../navigation/overlays.ts";
import {useRequest} from "../components/request.ts";

export function Settings({onClose}: {onClose: () => void}) {
  const me = session.me.value;
  return (
    <Dialog title={t("settings.title")} onClose={onClose}>
      <div class="self">
        <Avatar user={me} size="large" dot />
        <span>
          <span class="visually-hidden">{t("settings.as")} </span>
          <bdi class="name">{me}</bdi>
          <span class="secondary">
            <PresenceLine user={me} />
          </span>
        </span>
        <Button
          icon="leave"
          onClick={() => {
            onClose();
            signOut();
          }}
        >
          {t(session.isDev ? "settings.switch" : "settings.signout")}
        </Button>
      </div>
      <StatusForm />
      <SegmentedControl label={t("settings.theme")} name="theme" values={THEMES.map((code) => ({code, name: t(`theme.${code}`)}))} value={theme.value} onChange={(code) => (theme.value = code)} />
      <SegmentedControl label={t("settings.language")} name="language" values={LANGUAGES} value={language.value} onChange={setLanguage} />
      <div class="links">
        <Button icon="keys" onClick={() => (activeDialog.value = {what: "help"})}>
          {t("settings.keys")}
        </Button>
        <Button icon="info" onClick={() => (activeDialog.value = {what: "about"})}>
          {t("settings.about")}
        </Button>
      </div>
    </Dialog>
  );
}

interface SegmentsProps<Code extends string> {
  label: string;
  name: string;
  values: readonly {readonly code: Code; readonly name: string}[];
  value: Code;
  onChange: (code: Code) => void;
}

function SegmentedControl<Code extends string>({label, name, values, value, onChange}: SegmentsProps<Code>) {
  return (
    <fieldset class="field">
      <legend class="label">{label}</legend>
      <div class="segments">
        {values.map((one) => (
          <label key={one.code}>
            <input type="radio" name={name} checked={one.code === value} onChange={() => onChange(one.code)} />
            {one.name}
          </label>
        ))}
      </div>
    </fieldset>
  );
}

const STATUSES = [
  {code: "online", status: Status.ONLINE, name: "status.online"},
  {code: "away", status: Status.AWAY, name: "status.away"},
  {code: "busy", status: Status.BUSY, name: "status.busy"},
  {code: "invisible", status: Status.INVISIBLE, name: "settings.invisible"},
] as const;
type StatusCode = (typeof STATUSES)[number]["code"];

function StatusForm() {
  const now = presenceSignal(session.me.value).value;
  const [chosen, setChosen] = useState<StatusCode | undefined>(undefined);
  const [text, setText] = useState<string | undefined>(undefined);
  const [saved, setSaved] = useState(false);
  const request = useRequest();
  const status = chosen ?? STATUSES.find(({code}) => code === now.status)?.code ?? "online";
  const save = async (code: StatusCode) => {
    const status = STATUSES.find((one) => one.code === code)!.status;
    setSaved(await request.run(() => session.tidings.peek()!.setPresence(status, (text ?? now.text).trim())));
  };
  const submit = (event: Event) => {
    event.preventDefault();
    void save(status);
  };
  return (
    <form class="field" onSubmit={submit}>
      <SegmentedControl
        label={t("settings.status")}
        name="status"
        values={STATUSES.map(({code, name}) => ({code, name: t(name)}))}
        value={status}
        onChange={(code) => {
          setChosen(code);
          void save(code);
        }}
      />
      <div class="status-text">
        <input
          class="input"
          dir="auto"
          aria-label={t("settings.statusText")}
          placeholder={t("settings.statusHint")}
          value={text ?? now.text}
          onInput={(event) => {
            setText(event.currentTarget.value);
            setSaved(false);
          }}
        />
        <Button type="submit" disabled={request.isBusy}>
          {t("settings.save")}
        </Button>
      </div>
      <p class="hint" role="status">
        {request.error ? t("settings.statusFailed", {why: request.error}) : saved ? t("settings.statusSet") : ""}
      </p>
    </form>
  );
}
