/** Light or dark: as the system says, or as chosen here. */
import {effect, signal} from "@preact/signals";

export type Theme = "system" | "light" | "dark";
export const THEMES: readonly Theme[] = ["system", "light", "dark"];
const KEPT = "tidings.theme";

export const theme = signal<Theme>(THEMES.find((name) => name === localStorage.getItem(KEPT)) ?? "system");

effect(() => {
  if (theme.value === "system") {
    localStorage.removeItem(KEPT);
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem(KEPT, theme.value);
    document.documentElement.dataset.theme = theme.value;
  }
});
