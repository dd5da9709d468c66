/** Who are you: a name in development, a token otherwise. */
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
  const [wrong, setWrong] = useState<string | undefined>(undefined);
  const [value, setValue] = useState(session.isDev ? session.me.peek() : "");
  const [keep, setKeep] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const trying = session.tidings.value !== undefined && session.state.value !== "refused";
  const trouble = session.lastError.value;
  // What the service says of a name is for whoever wrote it; what it says of a token is for whoever made it.
  const refused = wrong === undefined && session.state.value === "refused" ? trouble?.text : undefined;
  const problem = wrong ?? (refused !== undefined && !session.isDev ? t("signin.refused") : refused && sentence(refused));

  useEffect(() => {
    if (!trying) input.current?.select();
  }, [trying]);

  const submit = (event: Event) => {
    event.preventDefault();
    const said = value.trim();
    if (!said) setWrong(t("signin.blank"));
    else if (session.isDev && hasSpace(said)) setWrong(t("signin.space", {name: suggestedName(said)}));
    else {
      setWrong(undefined);
      signIn(session.isDev ? {user: said} : {token: said}, session.isDev || keep);
    }
  };
  const field = {
    id: "who",
    ref: input,
    class: "input",
    value,
    onInput: (event: InputEvent) => setValue((event.target as HTMLInputElement).value),
    autocapitalize: "none",
    spellcheck: false,
    dir: "auto",
    disabled: trying,
    "aria-invalid": problem !== undefined,
    "aria-describedby": "who-hint who-wrong",
  } as const;
  return (
    <main class="signin">
      <form onSubmit={submit} noValidate>
        <img src="/icon.svg" alt="" width="56" height="56" />
        <h1>{t("signin.title")}</h1>
        {session.isDev && <p class="lead">{t("signin.dev")}</p>}
        <div class="field">
          <label for="who">{t(session.isDev ? "signin.name" : "signin.token")}</label>
          {session.isDev ? <input type="text" autocomplete="username" {...field} /> : <input type="password" autocomplete="off" {...field} />}
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
        <p class="error" id="who-wrong" role="alert">
          {problem}
          {refused !== undefined && !session.isDev && <small dir="auto">{t("signin.said", {why: refused})}</small>}
        </p>
        <Button type="submit" kind="primary" disabled={trying}>
          {t(trying ? "signin.wait" : "signin.go")}
        </Button>
        {trying && (
          <>
            <p class="hint" role="status">
              {trouble ? t("signin.unreachable") : ""}
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
