/** The dialog for a new token before the old one expires. The connection stays open. */
import {useState} from "preact/hooks";
import {Button} from "../components/button.tsx";
import {Dialog} from "../components/dialog.tsx";
import {renewToken, session} from "./session.ts";
import {t} from "../i18n/i18n.ts";
import {useRequest} from "../components/request.ts";

export function RenewToken({onClose}: {onClose: () => void}) {
  const [value, setValue] = useState("");
  const request = useRequest();
  const submit = async (event: Event) => {
    event.preventDefault();
    if (await request.run(() => renewToken(value.trim()))) onClose();
  };
  return (
    <Dialog title={t("renew.title")} onClose={onClose}>
      <form class="form" onSubmit={submit} noValidate>
        <p>{t("renew.lead", {name: session.me.value})}</p>
        <div class="field">
          <label for="new-token">{t("signin.token")}</label>
          <input id="new-token" class="input" type="password" autocomplete="off" autofocus value={value} onInput={(event) => setValue(event.currentTarget.value)} aria-describedby="new-token-error" />
        </div>
        <p class="error" id="new-token-error" role="alert">
          {request.error}
        </p>
        <div class="actions">
          <Button onClick={onClose}>{t("cancel")}</Button>
          <Button type="submit" kind="primary" disabled={request.isBusy || !value.trim()}>
            {t("renew.go")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
