/** Whether somebody is here: a dot that looks different in each state, colours apart, and says it to screen readers. */
import {type Standing, standing} from "../model/people.ts";
import {t} from "../words/words.ts";

export function Dot({status}: {status: Standing}) {
  return <span class={`dot ${status}`} role="img" aria-label={t(`status.${status}`)} title={t(`status.${status}`)} />;
}

/** Of this user, as it is now. */
export function PresenceDot({user}: {user: string}) {
  return <Dot status={standing(user).status} />;
}
