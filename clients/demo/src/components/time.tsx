/** Times in the language of the page and the time zone of the device. */
import {computed, signal} from "@preact/signals";
import {locale, t} from "../i18n/i18n.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** The time, updated once a minute; relative times read it. */
export const currentMinuteMs = signal(Date.now());
setInterval(() => (currentMinuteMs.value = Date.now()), MINUTE_MS);

/** The start of today. What shows "today" reads it and is drawn again after midnight. */
const today = computed(() => midnight(currentMinuteMs.value));

/** How many days ago it was: 0 today, 1 yesterday. */
export function daysAgo(atMs: number): number {
  return Math.round((today.value - midnight(atMs)) / DAY_MS);
}

/** For lists: the time if today, the weekday if within a week, else the date. */
export function Time({atMs}: {atMs: number}) {
  const at = new Date(atMs);
  return (
    <time dateTime={at.toISOString()} title={at.toLocaleString(locale())}>
      {shortTime(atMs)}
    </time>
  );
}

function shortTime(atMs: number): string {
  const at = new Date(atMs);
  const days = daysAgo(atMs);
  if (days <= 0) return at.toLocaleTimeString(locale(), {hour: "numeric", minute: "2-digit"});
  if (days < 7) return at.toLocaleDateString(locale(), {weekday: "short"});
  const year = at.getFullYear() === new Date(today.value).getFullYear() ? undefined : ("numeric" as const);
  return at.toLocaleDateString(locale(), {day: "numeric", month: "short", ...(year && {year})});
}

/** The last-seen text of a user. */
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

function midnight(atMs: number): number {
  return new Date(atMs).setHours(0, 0, 0, 0);
}
