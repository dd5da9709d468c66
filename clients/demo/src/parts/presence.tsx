/** Whether somebody is here: as a dot, and in words. */
import {standing} from "../model/people.ts";
import {t} from "../words/words.ts";
import {lastSeen, minute} from "./time.tsx";

/** A dot that looks different in each state, colours apart, and says it to screen readers. */
export function PresenceDot({user}: {user: string}) {
  const {status} = standing(user);
  const said = t(`status.${status}`);
  return <span class={`dot ${status}`} role="img" aria-label={said} title={said} />;
}

/** Here, or when last, and what they say of themselves. */
export function PresenceLine({user}: {user: string}) {
  const {status, text, lastSeenMs} = standing(user);
  const since = status === "offline" && lastSeenMs ? lastSeen(lastSeenMs, minute.value) : status === "unknown" ? "" : t(`status.${status}`);
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
