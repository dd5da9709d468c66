/** Shows connection problems, and that the token expires soon. */
import {inspect} from "@tidings/client";
import {useEffect, useState} from "preact/hooks";
import {Button} from "../components/button.tsx";
import {currentMinuteMs} from "../components/time.tsx";
import {returnToSignIn, session} from "../session/session.ts";
import {t} from "../i18n/i18n.ts";
import {activeDialog} from "../navigation/overlays.ts";

const EXPIRING_MINUTES = 5;
const TICK_MS = 500;
const SHOW_DELAY_MS = 1_500; // a connection that recovers faster needs no banner

export function ConnectionBanner() {
  const state = session.state.value;
  const hasProblem = state !== "online" && state !== "closed";
  const expiring = state === "online" && minutesLeft() <= EXPIRING_MINUTES;
  const [shown, setShown] = useState(false);
  useEffect(() => {
    if (!hasProblem) return setShown(false);
    const timer = setTimeout(() => setShown(true), state === "refused" ? 0 : SHOW_DELAY_MS);
    return () => clearTimeout(timer);
  }, [hasProblem, state === "refused"]);

  if (expiring) {
    return (
      <div role="status" class="banner">
        <span>{t("renew.soon", {n: minutesLeft()})}</span>
        <Button onClick={() => (activeDialog.value = {what: "renew"})}>{t("renew.title")}</Button>
      </div>
    );
  }
  // The live region exists before it has content; otherwise screen readers do not announce it.
  return (
    <div role="status" class={hasProblem && shown ? `banner ${state}` : "visually-hidden"}>
      {hasProblem && shown && <ConnectionMessage />}
    </div>
  );
}

/** Minutes until the token expires. */
function minutesLeft(): number {
  const at = session.expiresAtMs.value;
  return at === undefined ? Infinity : Math.max(1, Math.ceil((at - Math.max(currentMinuteMs.value, Date.now())) / 60_000));
}

function ConnectionMessage() {
  const state = session.state.value;
  if (state === "refused") {
    return (
      <>
        <span>{t("state.refused")}</span>
        {session.lastError.value && <small dir="auto">{t("signin.reply", {why: session.lastError.value.text})}</small>}
        <Button onClick={returnToSignIn}>{t("state.signin")}</Button>
      </>
    );
  }
  return (
    <>
      <span>{t(`state.${state as "connecting" | "offline" | "reconnecting"}`)}</span>
      <Countdown />
    </>
  );
}

/** Seconds until the next attempt. Hidden from screen readers, which would announce every second. */
function Countdown() {
  const [leftMs, setLeftMs] = useState<number | undefined>(undefined);
  useEffect(() => {
    const update = async () => {
      const client = session.tidings.peek();
      const {nextAttemptAtMs, offlineUntilMs} = client ? await inspect(client) : {};
      const endsMs = nextAttemptAtMs ?? offlineUntilMs;
      setLeftMs(endsMs === undefined ? undefined : Math.max(0, endsMs - Date.now()));
    };
    void update();
    const timer = setInterval(() => void update(), TICK_MS);
    return () => clearInterval(timer);
  }, []);
  if (leftMs === undefined) return null;
  const seconds = Math.ceil(leftMs / 1000);
  return (
    <span class="count" aria-hidden="true">
      {seconds > 0 ? t("state.in", {n: seconds}) : t("state.trying")}
    </span>
  );
}
