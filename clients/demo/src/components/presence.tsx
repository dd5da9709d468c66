/** The presence of a user: as a dot, and as text. */
import {presenceOf} from "../presence/presence.ts";
import {t} from "../i18n/i18n.ts";
import {lastSeen, currentMinuteMs} from "./time.tsx";

/** A dot with its own shape for each status, not only its own colour, and a label for screen readers. */
export function PresenceDot({user}: {user: string}) {
  const {status} = presenceOf(user);
  const label = t(`status.${status}`);
  return <span class={`dot ${status}`} role="img" aria-label={label} title={label} />;
}

/** Status or last-seen time, and the status message. */
export function PresenceLine({user}: {user: string}) {
  const {status, text, lastSeenMs} = presenceOf(user);
  const since = status === "offline" && lastSeenMs ? lastSeen(lastSeenMs, currentMinuteMs.value) : status === "unknown" ? "" : t(`status.${status}`);
  return (
    <>
      {since}
      {text && (
        <>
          {since && " · "}
          <bdi>{text}</bdi>
        </>
      )}
    </>
  );
}
