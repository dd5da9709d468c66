/** The sign-in page: a name in development mode, a token in production. */
import "./sign-in.css";
import {useEffect, useRef, useState} from "preact/hooks";
import {Button} from "../components/button.tsx";
import {Icon} from "../components/icon.tsx";
import {sentence} from "../components/sentence.ts";
import {session, signIn, signOut} from "./session.ts";
import {LANGUAGES, language, setLanguage, t} from "../i18n/i18n.ts";
import {hasSpace, suggestedName} from "../components/names-input.ts";
import {activeDialog} from "../navigation/overlays.ts";

export function SignIn() {
  const [inputError, setInputError] = useState<string | undefined>(undefined);
  const [value, setValue] = useState(session.isDev ? session.me.peek() : "");
  const [keep, setKeep] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const isPending = session.tidings.value !== undefined && session.state.value !== "refused";
  const lastError = session.lastError.value;
  // The error for a name is for the user; the error for a token is for the administrator who created it.
  const refused = inputError === undefined && session.state.value === "refused" ? lastError?.text : undefined;
  const problem = inputError ?? (refused !== undefined && !session.isDev ? t("signin.refused") : refused && sentence(refused));

  useEffect(() => {
    if (!isPending) field.current?.select();
  }, [isPending]);

  const submit = (event: Event) => {
    event.preventDefault();
    const input = value.trim();
    if (!input) setInputError(t(session.isDev ? "signin.noName" : "signin.noToken"));
    else if (session.isDev && hasSpace(input)) setInputError(t("signin.space", {name: suggestedName(input)}));
    else {
      setInputError(undefined);
      signIn(session.isDev ? {user: input} : {token: input}, session.isDev || keep);
    }
  };
  const inputProps = {
    id: "who",
    ref: field,
    class: "input",
    value,
    onInput: (event: InputEvent) => setValue((event.target as HTMLInputElement).value),
    autocapitalize: "none",
    spellcheck: false,
    dir: "auto",
    disabled: isPending,
    "aria-invalid": problem !== undefined,
    "aria-describedby": "who-hint who-error",
  } as const;
  return (
    <main class="signin">
      <form onSubmit={submit} noValidate>
        <img src="/icon.svg" alt="" width="56" height="56" />
        <h1>{t("signin.title")}</h1>
        {session.isDev && <p class="lead">{t("signin.dev")}</p>}
        <div class="field">
          <label for="who">{t(session.isDev ? "signin.name" : "signin.token")}</label>
          {session.isDev ? <input type="text" autocomplete="username" {...inputProps} /> : <input type="password" autocomplete="off" {...inputProps} />}
          <p class="hint" id="who-hint">
            {session.isDev ? (
              t("signin.nameHint")
            ) : (
              <>
                {t("signin.tokenHint")} <code>tidings token --user NAME</code>
              </>
            )}
          </p>
        </div>
        {!session.isDev && (
          <label class="check">
            <input type="checkbox" checked={keep} onChange={(event) => setKeep(event.currentTarget.checked)} />
            {t("signin.keep")}
          </label>
        )}
        <p class="error" id="who-error" role="alert">
          {problem}
          {refused !== undefined && !session.isDev && <small dir="auto">{t("signin.reply", {why: refused})}</small>}
        </p>
        <Button type="submit" kind="primary" disabled={isPending}>
          {t(isPending ? "signin.wait" : "signin.go")}
        </Button>
        {isPending && (
          <>
            <p class="hint" role="status">
              {lastError ? t("signin.unreachable") : ""}
            </p>
            <Button kind="bare" onClick={signOut}>
              {t("cancel")}
            </Button>
          </>
        )}
      </form>
      <footer>
        <Button kind="bare" onClick={() => (activeDialog.value = {what: "about"})}>
          <Icon name="info" /> {t("signin.about")}
        </Button>
        {LANGUAGES.filter(({code}) => code !== language.value).map(({code, name}) => (
          <Button key={code} kind="bare" lang={code} onClick={() => setLanguage(code)}>
            {name}
          </Button>
        ))}
      </footer>
    </main>
  );
}
