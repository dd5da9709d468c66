/** Whether somebody is here: as a dot, and in words. */
import {presenceOf} from "../presence/presence.ts";
import {t} from "../i18n/i18n.ts";
import {lastSeen, currentMinuteMs} from "./time.tsx";

/** A dot that looks different in each state, colours apart, and says it to screen readers. */
export function PresenceDot({user}: {user: string}) {
  const {status} = presenceOf(user);
  const said = t(`status.${status}`);
  return <span class={`dot ${status}`} role="img" aria-label={said} title={said} />;
}

/** Here, or when last, and what they say of themselves. */
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
