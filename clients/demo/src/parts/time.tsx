/** Times as people read them, in the page's language and their own time zone. */
import {signal} from "@preact/signals";
import {locale, t} from "../words/words.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** The time, once a minute: what shows how long ago something was reads it. */
export const minute = signal(Date.now());
setInterval(() => (minute.value = Date.now()), MINUTE_MS);

/** In a list: the time of today, the weekday of this week, else the date. */
export function Time({atMs}: {atMs: number}) {
  const at = new Date(atMs);
  return (
    <time dateTime={at.toISOString()} title={at.toLocaleString(locale())}>
      {shortTime(atMs, minute.value)}
    </time>
  );
}

function shortTime(atMs: number, nowMs: number): string {
  const at = new Date(atMs);
  const days = daysBetween(at, new Date(nowMs));
  if (days <= 0) return at.toLocaleTimeString(locale(), {hour: "numeric", minute: "2-digit"});
  if (days < 7) return at.toLocaleDateString(locale(), {weekday: "short"});
  const year = at.getFullYear() === new Date(nowMs).getFullYear() ? undefined : ("numeric" as const);
  return at.toLocaleDateString(locale(), {day: "numeric", month: "short", ...(year && {year})});
}

/** How long ago somebody was here. */
export function lastSeen(atMs: number, nowMs: number): string {
  const ago = Math.max(0, nowMs - atMs);
  if (ago < MINUTE_MS) return t("seen.now");
  const format = new Intl.RelativeTimeFormat(locale(), {numeric: "auto"});
  const hours = ago / (60 * MINUTE_MS);
  if (hours < 1) return t("seen.ago", {when: format.format(-Math.floor(ago / MINUTE_MS), "minute")});
  if (hours < 24) return t("seen.ago", {when: format.format(-Math.floor(hours), "hour")});
  if (ago < 30 * DAY_MS) return t("seen.ago", {when: format.format(-Math.floor(ago / DAY_MS), "day")});
  return t("seen.ago", {when: new Date(atMs).toLocaleDateString(locale(), {dateStyle: "medium"})});
}

function daysBetween(from: Date, to: Date): number {
  const midnight = (date: Date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
  return Math.round((midnight(to) - midnight(from)) / DAY_MS);
}
