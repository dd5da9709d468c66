import {nameBefore, session, signIn} from "../session.ts";
import {t} from "../words/words.ts";

export function SignIn() {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const value = String(new FormData(event.currentTarget as HTMLFormElement).get("who"));
    signIn(session.dev ? {user: value} : {token: value}, session.dev);
  };
  return (
    <main>
      <form onSubmit={submit}>
        <h1>{t("signin.title")}</h1>
        <label>
          {t(session.dev ? "signin.name" : "signin.token")} <input name="who" required defaultValue={session.dev ? nameBefore() : ""} />
        </label>
        <button>{t("signin.go")}</button>
      </form>
    </main>
  );
}
