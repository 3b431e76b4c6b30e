/** The page's texts in the user's language. English is in the first download, others are fetched when they are wanted. */

import { effect, signal } from "@preact/signals";
import { en } from "../texts/en";
import { oneOf, stored } from "./prefs";

export type Language = "en" | "vi";
export type Text = keyof typeof en;
export type Texts = Record<Text, string>;
export const LANGUAGES: Record<Language, string> = { en: "English", vi: "Tiếng Việt" };

const preferred: Language = navigator.languages.some((name) => name.startsWith("vi")) ? "vi" : "en";
export const language = stored<Language>("language", preferred, oneOf<Language>("en", "vi"));
const texts = signal<Texts>(en);

/** Called once, by main.tsx. */
export function followLanguage(): void {
  effect(() => {
    const wanted = language.value;
    document.documentElement.lang = wanted;
    if (wanted === "en") texts.value = en;
    else
      import("../texts/vi").then(
        ({ vi }) => {
          if (language.value === "vi") texts.value = vi;
        },
        () => undefined, // no network: English stays, and the next visit tries again
      );
  });
}

/** The text, `{name}` replaced by what is given for it. */
export function t(text: Text, values: Record<string, string | number> = {}): string {
  return texts.value[text].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** Whether there is such a text; for names that come from the server. */
export function isText(name: string): name is Text {
  return name in en;
}
