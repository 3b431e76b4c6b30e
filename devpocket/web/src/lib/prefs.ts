/** What this browser's user has set for this browser: kept in localStorage, if that has room. */

import { effect, type Signal, signal } from "@preact/signals";

export type Theme = "system" | "dark" | "light";

/** False once something couldn't be kept (storage full or forbidden): it holds for this visit only. */
export const canStore = signal(true);

/** A value that is kept under `name`. `check` says whether what was found there, by an older version perhaps, still fits. */
export function stored<T>(name: string, fallback: T, check: (found: unknown) => found is T): Signal<T> {
  const key = `devpocket.${name}`;
  const value = signal(read(key, fallback, check));
  let isFirst = true;
  effect(() => {
    const text = JSON.stringify(value.value);
    if (isFirst) {
      isFirst = false;
      return;
    }
    try {
      localStorage.setItem(key, text);
    } catch {
      canStore.value = false;
    }
  });
  window.addEventListener("storage", (event) => {
    if (event.key === key) value.value = read(key, fallback, check);
  });
  return value;
}

function read<T>(key: string, fallback: T, check: (found: unknown) => found is T): T {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(key) ?? "null");
    return check(found) ? found : fallback;
  } catch {
    return fallback;
  }
}

export function oneOf<T extends string>(...values: T[]): (found: unknown) => found is T {
  return (found): found is T => values.includes(found as T);
}

export const FONT_PX = { min: 8, max: 32 };
const isFontPx = (found: unknown): found is number =>
  typeof found === "number" && found >= FONT_PX.min && found <= FONT_PX.max;
const isBool = (found: unknown): found is boolean => typeof found === "boolean";

export const theme = stored<Theme>("theme", "system", oneOf<Theme>("system", "dark", "light"));
export const fontPx = stored("font", 14, isFontPx);
export const screenReader = stored("screenReader", false, isBool);

const darkSystem = matchMedia("(prefers-color-scheme: dark)");
export const isDark = signal(false);

/** Keep the page's colours as they are set. Called once, by main.tsx. */
export function followTheme(): void {
  const systemIsDark = signal(darkSystem.matches);
  darkSystem.addEventListener("change", (event) => {
    systemIsDark.value = event.matches;
  });
  effect(() => {
    isDark.value = theme.value === "dark" || (theme.value === "system" && systemIsDark.value);
    document.documentElement.dataset.theme = isDark.value ? "dark" : "light";
  });
}
