/** The theme: light or dark, as the system or the user chooses. */
import {effect, signal} from "@preact/signals";

export type Theme = "system" | "light" | "dark";
export const THEMES: readonly Theme[] = ["system", "light", "dark"];
const STORAGE_KEY = "tidings.theme";

export const theme = signal<Theme>(THEMES.find((name) => name === localStorage.getItem(STORAGE_KEY)) ?? "system");

effect(() => {
  if (theme.value === "system") {
    localStorage.removeItem(STORAGE_KEY);
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem(STORAGE_KEY, theme.value);
    document.documentElement.dataset.theme = theme.value;
  }
});
