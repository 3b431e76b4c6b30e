/** How this browser's user wants terminals to be. */

import { signal } from "@preact/signals";
import { FONT_PX, fontPx } from "../lib/prefs";
import { isKeyBarShown } from "./key-bar-keys";

export const isPhone = matchMedia("(pointer: coarse)").matches;
/** Whether lines are composed in a field of their own. */
export const isComposing = signal(false);
export const hasKeyBar = () => isKeyBarShown.value ?? isPhone;

export function setFont(px: number): void {
  fontPx.value = Math.max(FONT_PX.min, Math.min(FONT_PX.max, Math.round(px)));
}
