/** The page's texts in the user's language. English is in the first download, others are fetched when they are wanted. */

import { computed, effect, signal } from "@preact/signals";
import { en } from "../texts/en";
import { oneOf, stored } from "./prefs";

export type Language = "en" | "vi";
export type Text = keyof typeof en;
export type Texts = Record<Text, string>;
export const LANGUAGES: Record<Language, string> = { en: "English", vi: "Tiếng Việt" };

const preferred: Language = navigator.languages.some((name) => name.startsWith("vi")) ? "vi" : "en";
/** What the user wants. */
export const language = stored<Language>("language", preferred, oneOf<Language>("en", "vi"));
/** What the page is in: as wanted, once its texts are here. */
const spoken = signal<Language>("en");
/** How numbers and dates are written in it: as where the user lives, where the browser says so ("en-GB"). */
export const locale = computed(
  () => navigator.languages.find((name) => name.split("-", 1)[0] === spoken.value) ?? spoken.value,
);
const texts = signal<Texts>(en);

/** Called once, by main.tsx. Settles when there are texts to begin with; never raises. */
export function followLanguage(): Promise<void> {
  return new Promise((resolve) => {
    effect(() => {
      const wanted = language.value;
      void fetchTexts(wanted).then((found) => {
        // Without a network the language stays as it is, and the next visit tries again.
        if (found !== null && language.value === wanted) speak(wanted, found);
        resolve();
      });
    });
  });
}

async function fetchTexts(wanted: Language): Promise<Texts | null> {
  if (wanted === "en") return en;
  try {
    return (await import("../texts/vi")).vi;
  } catch {
    return null;
  }
}

function speak(name: Language, those: Texts): void {
  texts.value = those;
  spoken.value = name;
  document.documentElement.lang = name;
}

/** The text, `{name}` replaced by what is given for it. */
export function t(text: Text, values: Record<string, string | number> = {}): string {
  return texts.value[text].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** Whether there is such a text; for names that come from the server. */
export function isText(name: string): name is Text {
  return name in en;
}
