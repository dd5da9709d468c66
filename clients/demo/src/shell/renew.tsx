/** A new token before the old one runs out: the connection goes on as it is. */
import {useState} from "preact/hooks";
import {Button} from "../parts/button.tsx";
import {Dialog} from "../parts/dialog.tsx";
import {renew, session} from "../session.ts";
import {t} from "../words/words.ts";
import {useTask} from "../parts/task.ts";

export function Renew({onClose}: {onClose: () => void}) {
  const [value, setValue] = useState("");
  const task = useTask();
  const submit = async (event: Event) => {
    event.preventDefault();
    if (await task.run(() => renew(value.trim()))) onClose();
  };
  return (
    <Dialog title={t("renew.title")} onClose={onClose}>
      <form class="form" onSubmit={submit} noValidate>
        <p>{t("renew.lead", {name: session.me.value})}</p>
        <div class="field">
          <label for="fresh">{t("signin.token")}</label>
          <input id="fresh" class="input" type="password" autocomplete="off" autofocus value={value} onInput={(event) => setValue(event.currentTarget.value)} aria-describedby="fresh-wrong" />
        </div>
        <p class="wrong" id="fresh-wrong" role="alert">
          {task.wrong}
        </p>
        <div class="actions">
          <Button onClick={onClose}>{t("cancel")}</Button>
          <Button type="submit" kind="primary" disabled={task.busy || !value.trim()}>
            {t("renew.go")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
