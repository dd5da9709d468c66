/** Who are you: a name in development, a token otherwise. */
import "./sign-in.css";
import {useEffect, useRef, useState} from "preact/hooks";
import {Button} from "../parts/button.tsx";
import {Icon} from "../parts/icon.tsx";
import {sentence} from "../parts/sentence.ts";
import {session, signIn, signOut} from "../session.ts";
import {LANGUAGES, language, speak, t} from "../words/words.ts";
import {hasSpace, withoutSpace} from "./people-names.ts";
import {opened} from "./shown.ts";

export function SignIn() {
  const [wrong, setWrong] = useState<string | undefined>(undefined);
  const [value, setValue] = useState(session.dev ? session.me.peek() : "");
  const [keep, setKeep] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const trying = session.tidings.value !== undefined && session.state.value !== "refused";
  const trouble = session.trouble.value;
  // What the service says of a name is for whoever wrote it; what it says of a token is for whoever made it.
  const refused = wrong === undefined && session.state.value === "refused" ? trouble?.text : undefined;
  const problem = wrong ?? (refused !== undefined && !session.dev ? t("signin.refused") : refused && sentence(refused));

  useEffect(() => {
    if (!trying) input.current?.select();
  }, [trying]);

  const submit = (event: Event) => {
    event.preventDefault();
    const said = value.trim();
    if (!said) setWrong(t("signin.blank"));
    else if (session.dev && hasSpace(said)) setWrong(t("signin.space", {name: withoutSpace(said)}));
    else {
      setWrong(undefined);
      signIn(session.dev ? {user: said} : {token: said}, session.dev || keep);
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
        {session.dev && <p class="lead">{t("signin.dev")}</p>}
        <div class="field">
          <label for="who">{t(session.dev ? "signin.name" : "signin.token")}</label>
          {session.dev ? <input type="text" autocomplete="username" {...field} /> : <input type="password" autocomplete="off" {...field} />}
          <p class="hint" id="who-hint">
            {session.dev ? (
              t("signin.nameHint")
            ) : (
              <>
                {t("signin.tokenHint")} <code>tidings token --user NAME</code>
              </>
            )}
          </p>
        </div>
        {!session.dev && (
          <label class="check">
            <input type="checkbox" checked={keep} onChange={(event) => setKeep(event.currentTarget.checked)} />
            {t("signin.keep")}
          </label>
        )}
        <p class="wrong" id="who-wrong" role="alert">
          {problem}
          {refused !== undefined && !session.dev && <small dir="auto">{t("signin.said", {why: refused})}</small>}
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
        <Button kind="bare" onClick={() => (opened.value = {what: "about"})}>
          <Icon name="info" /> {t("signin.about")}
        </Button>
        {LANGUAGES.filter(({code}) => code !== language.value).map(({code, name}) => (
          <Button key={code} kind="bare" lang={code} onClick={() => speak(code)}>
            {name}
          </Button>
        ))}
      </footer>
    </main>
  );
}
