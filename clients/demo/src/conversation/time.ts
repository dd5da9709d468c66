/** Times and days as text, in the language of the page. */
import {computed} from "@preact/signals";
import {daysAgo} from "../components/time.tsx";
import {language, locale, t} from "../i18n/i18n.ts";

const formats = computed(() => {
  void language.value;
  return {
    time: new Intl.DateTimeFormat(locale(), {hour: "numeric", minute: "2-digit"}),
    day: new Intl.DateTimeFormat(locale(), {weekday: "long", day: "numeric", month: "long"}),
    dayOfYear: new Intl.DateTimeFormat(locale(), {day: "numeric", month: "long", year: "numeric"}),
    full: new Intl.DateTimeFormat(locale(), {dateStyle: "full", timeStyle: "medium"}),
    list: new Intl.ListFormat(locale(), {type: "conjunction"}),
  };
});

export function timeText(atMs: number): string {
  return formats.value.time.format(atMs);
}

/** The time without AM or PM, where the messages around it make that clear. */
export function clockText(atMs: number): string {
  const parts = formats.value.time.formatToParts(atMs).filter(({type}) => type !== "dayPeriod");
  return parts.map(({value}) => value).join("").trim();
}

export function fullText(atMs: number): string {
  return formats.value.full.format(atMs);
}

export function listText(names: readonly string[]): string {
  return formats.value.list.format(names);
}

export function dayText(atMs: number): string {
  const days = daysAgo(atMs);
  if (days <= 0) return t("conversation.today");
  if (days === 1) return t("conversation.yesterday");
  const thisYear = new Date(atMs).getFullYear() === new Date().getFullYear();
  return (thisYear ? formats.value.day : formats.value.dayOfYear).format(atMs);
}
