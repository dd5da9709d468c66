/** Numbers as people read them, in the page's language. */
import {locale} from "../words/words.ts";

const UNITS = ["B", "KB", "MB", "GB"];

export function count(n: number | bigint): string {
  return n.toLocaleString(locale());
}

/** With one digit behind the point below ten. */
function rough(n: number): string {
  return n.toLocaleString(locale(), {maximumFractionDigits: n < 10 ? 1 : 0});
}

export function bytes(n: number): string {
  let unit = 0;
  while (n >= 1000 && unit < UNITS.length - 1) {
    n /= 1000;
    unit += 1;
  }
  return `${unit ? rough(n) : count(Math.round(n))} ${UNITS[unit]}`;
}

export function milliseconds(ms: number): string {
  return ms < 1000 ? `${rough(ms)} ms` : `${rough(ms / 1000)} s`;
}
