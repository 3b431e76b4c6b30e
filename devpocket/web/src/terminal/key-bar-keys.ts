/** Which keys the key bar has, in this browser; the user's to change. */

import { stored } from "../lib/prefs";

/** What a key of the bar does: a modifier, a key by its name, a text that it types, or an action of ours. */
export const BAR_KEYS = {
  esc: "Esc",
  tab: "Tab",
  ctrl: "Ctrl",
  alt: "Alt",
  shift: "Shift",
  left: "←",
  down: "↓",
  up: "↑",
  right: "→",
  paste: "",
  line: "✎",
  home: "Home",
  end: "End",
  pgup: "PgUp",
  pgdn: "PgDn",
  insert: "Ins",
  delete: "Del",
  backspace: "⌫",
  enter: "⏎",
  "ctrl-c": "^C",
  "ctrl-d": "^D",
  "ctrl-z": "^Z",
  "ctrl-r": "^R",
  "ctrl-l": "^L",
  "ctrl-b": "^B",
  f1: "F1",
  f2: "F2",
  f3: "F3",
  f4: "F4",
  f5: "F5",
  f6: "F6",
  f7: "F7",
  f8: "F8",
  f9: "F9",
  f10: "F10",
  f11: "F11",
  f12: "F12",
  "|": "|",
  "/": "/",
  "~": "~",
  "-": "-",
  _: "_",
  "=": "=",
  "*": "*",
  "&": "&",
  $: "$",
  "#": "#",
  "\\": "\\",
  "`": "`",
  "'": "'",
  '"': '"',
  ":": ":",
  ";": ";",
  "!": "!",
  "<": "<",
  ">": ">",
  "(": "(",
  ")": ")",
  "[": "[",
  "]": "]",
  "{": "{",
  "}": "}",
} as const;

export type BarKey = keyof typeof BAR_KEYS;

export const DEFAULT_BAR: BarKey[] = [
  "esc",
  "tab",
  "ctrl",
  "alt",
  "left",
  "down",
  "up",
  "right",
  "|",
  "/",
  "~",
  "-",
  "paste",
  "line",
];

/** Held down, these come again and again, as on a keyboard. */
export const REPEATING: ReadonlySet<BarKey> = new Set<BarKey>([
  "left",
  "down",
  "up",
  "right",
  "pgup",
  "pgdn",
  "delete",
  "backspace",
]);

function isBar(found: unknown): found is BarKey[] {
  return Array.isArray(found) && found.every((key) => typeof key === "string" && key in BAR_KEYS);
}

export const keyBar = stored<BarKey[]>("keyBar", DEFAULT_BAR, isBar);
/** Whether the bar is shown: null where that is for the device to say (touch: yes). */
export const isKeyBarShown = stored<boolean | null>(
  "keyBarShown",
  null,
  (found): found is boolean | null => found === null || typeof found === "boolean",
);
