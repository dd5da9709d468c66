/** What is wrong with the connection, while something is. */
import {useEffect, useState} from "preact/hooks";
import {Button} from "../parts/button.tsx";
import {knockAgain, session} from "../session.ts";
import {t} from "../words/words.ts";

const PATIENCE_MS = 1_500; // a connection that comes up within it was never worth a word

export function Banner() {
  const state = session.state.value;
  const wrong = state !== "online" && state !== "closed";
  const [shown, setShown] = useState(false);
  useEffect(() => {
    if (!wrong) return setShown(false);
    const timer = setTimeout(() => setShown(true), state === "refused" ? 0 : PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [wrong, state === "refused"]);

  // The region is there before there is something to tell, so that screen readers hear of it.
  return (
    <div role="status" class={wrong && shown ? `banner ${state}` : "unseen"}>
      {wrong && shown && <Told />}
    </div>
  );
}

function Told() {
  const state = session.state.value;
  if (state === "refused") {
    return (
      <>
        <span>{t("state.refused", {why: session.trouble.value?.text ?? ""})}</span>
        <Button onClick={knockAgain}>{t("state.signin")}</Button>
      </>
    );
  }
  if (state === "offline") return <span>{t("state.offline")}</span>;
  if (state === "reconnecting") return <span>{t("state.reconnecting")}</span>;
  return <span>{t("state.connecting")}</span>;
}
