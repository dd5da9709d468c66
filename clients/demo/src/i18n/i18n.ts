/**
 * All texts of the page, in the chosen language. `t("rooms.unread", {n: 3})` is typed by the English texts, so a text that
 * another language lacks does not compile. Of a text with two forms, `n` selects the form.
 */
import {signal} from "@preact/signals";
import {en as conversationEn} from "./conversation.en.ts";
import {zh as conversationZh} from "./conversation.zh.ts";
import {en as appEn} from "./app.en.ts";
import {zh as appZh} from "./app.zh.ts";
import {en as inspectorEn} from "./inspector.en.ts";
import {zh as inspectorZh} from "./inspector.zh.ts";

/** A text, or its singular and plural. `{name}` in it is a placeholder. */
export type Text = string | {readonly one: string; readonly other: string};
/** The same keys in another language. */
export type Translation<English> = {readonly [Key in keyof English]: Text};
export type Language = "en" | "zh";

const english = {...appEn, ...conversationEn, ...inspectorEn};
type Key = keyof typeof english;
const languages: Record<Language, Translation<typeof english>> = {en: english, zh: {...appZh, ...conversationZh, ...inspectorZh}};

export const LANGUAGES: readonly {readonly code: Language; readonly name: string}[] = [
  {code: "en", name: "English"},
  {code: "zh", name: "中文"},
];
const STORAGE_KEY = "tidings.language";

/** The language of the page. Change it with `setLanguage`. */
export const language = signal<Language>(firstLanguage());

export function setLanguage(chosen: Language): void {
  localStorage.setItem(STORAGE_KEY, chosen);
  language.value = chosen;
}

/** For Intl and <html lang>. */
export function locale(): string {
  return language.value === "zh" ? "zh-CN" : "en";
}

export function t(key: Key, values: Readonly<Record<string, string | number>> = {}): string {
  const text = languages[language.value][key];
  const form = typeof text === "string" ? text : text[plural(values.n)];
  return form.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? value.toLocaleString(locale()) : value;
  });
}

function plural(n: string | number | undefined): "one" | "other" {
  return language.value === "en" && Number(n) === 1 ? "one" : "other";
}

function firstLanguage(): Language {
  const stored = localStorage.getItem(STORAGE_KEY);
  if (stored === "en" || stored === "zh") return stored;
  return navigator.languages.find((code) => /^(en|zh)\b/.test(code))?.startsWith("zh") ? "zh" : "en";
}
