/**
 * Keys by name, as the bytes a terminal sends; and the modifiers of the key bar.
 *
 * Source: "XTerm Control Sequences", PC-Style Function Keys; the server's terminals/keys.py, which has the same names.
 */

import { signal } from "@preact/signals";

const ESC = "\x1b";
const PLAIN: Record<string, string> = {
  esc: ESC,
  tab: "\t",
  enter: "\r",
  space: " ",
  backspace: "\x7f",
};
const CURSOR: Record<string, string> = { up: "A", down: "B", right: "C", left: "D", home: "H", end: "F" };
const FUNCTION: Record<string, string> = { f1: "P", f2: "Q", f3: "R", f4: "S" };
const NUMBERED: Record<string, number> = {
  insert: 2,
  delete: 3,
  pgup: 5,
  pgdn: 6,
  f5: 15,
  f6: 17,
  f7: 18,
  f8: 19,
  f9: 20,
  f10: 21,
  f11: 23,
  f12: 24,
};
const CONTROLS = "@abcdefghijklmnopqrstuvwxyz[\\]^_"; // ctrl- with one of them is its place here
const CONTROL_NAMES: Record<string, string> = { space: "\0", " ": "\0", "?": "\x7f", backspace: "\b", "/": "\x1f" };

export interface Modifiers {
  ctrl: boolean;
  alt: boolean;
  shift: boolean;
}

const NONE: Modifiers = { ctrl: false, alt: false, shift: false };

/**
 * What the key sends, by its name or, for what types a character, that. Modifiers that it has no form with are left out.
 *
 * `isApplication`: the program has asked for the other form of the cursor keys (DECCKM).
 */
export function keyText(key: string, { ctrl, alt, shift }: Modifiers = NONE, isApplication = false): string {
  const modifier = 1 + (shift ? 1 : 0) + (alt ? 2 : 0) + (ctrl ? 4 : 0);
  const final = CURSOR[key] ?? FUNCTION[key];
  if (final !== undefined) {
    if (modifier > 1) return `${ESC}[1;${modifier}${final}`;
    return (isApplication || key in FUNCTION ? `${ESC}O` : `${ESC}[`) + final;
  }
  const number = NUMBERED[key];
  if (number !== undefined) return modifier > 1 ? `${ESC}[${number};${modifier}~` : `${ESC}[${number}~`;
  if (key === "tab" && shift) return `${alt ? ESC : ""}${ESC}[Z`;
  let text = PLAIN[key] ?? key;
  if (ctrl) text = control(key) ?? text;
  else if (shift && key.length === 1) text = key.toUpperCase();
  return alt ? ESC + text : text;
}

function control(key: string): string | undefined {
  if (key in CONTROL_NAMES) return CONTROL_NAMES[key];
  const place = key.length === 1 ? CONTROLS.indexOf(key.toLowerCase()) : -1;
  return place >= 0 ? String.fromCharCode(place) : undefined;
}

// --- The key bar's modifiers

export type Latch = "off" | "once" | "locked";
export type Modifier = keyof Modifiers;

/** Pressed once they hold for the next key, twice until they are pressed again. */
export const latches = { ctrl: signal<Latch>("off"), alt: signal<Latch>("off"), shift: signal<Latch>("off") };

export function pressLatch(modifier: Modifier): void {
  const latch = latches[modifier];
  latch.value = latch.value === "off" ? "once" : latch.value === "once" ? "locked" : "off";
}

/** The modifiers for a key that is pressed now; those for one key are used up. */
export function takeModifiers(): Modifiers {
  const taken = { ...NONE };
  for (const name of ["ctrl", "alt", "shift"] as const) {
    taken[name] = latches[name].value !== "off";
    if (latches[name].value === "once") latches[name].value = "off";
  }
  return taken;
}

export const isLatched = () => Object.values(latches).some((latch) => latch.value !== "off");

/** What somebody typed, with the modifiers of the key bar; only a single character has a form with them. */
export function withLatches(text: string): string {
  if (!isLatched() || [...text].length !== 1 || text < " ") return text;
  return keyText(text === "\x7f" ? "backspace" : text, takeModifiers());
}
