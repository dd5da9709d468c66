/** Numbers formatted in the language of the page. */
import {locale} from "./i18n.ts";

const UNITS = ["B", "KB", "MB", "GB"];

export function formatCount(n: number | bigint): string {
  return n.toLocaleString(locale());
}

/** With one decimal below ten. */
function formatRounded(n: number): string {
  return n.toLocaleString(locale(), {maximumFractionDigits: n < 10 ? 1 : 0});
}

export function formatBytes(n: number): string {
  let unit = 0;
  while (n >= 1000 && unit < UNITS.length - 1) {
    n /= 1000;
    unit += 1;
  }
  return `${unit ? formatRounded(n) : formatCount(Math.round(n))} ${UNITS[unit]}`;
}

export function formatMs(ms: number): string {
  return ms < 1000 ? `${formatRounded(ms)} ms` : `${formatRounded(ms / 1000)} s`;
}
