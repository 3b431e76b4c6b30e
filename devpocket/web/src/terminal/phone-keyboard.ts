/**
 * Typing on a phone's keyboard, which has no keys: it edits a text field, replaces words and composes. xterm.js reads key
 * events and the field, and takes some letters twice (its issue 3600). Here only the field counts: what an edit has
 * changed in it is what is typed.
 */

import { pressed } from "./measure";

export interface Edit {
  erased: number; // characters before the cursor
  typed: string;
}

/** What was done to a text, the cursor of which is at its end: as much erased and typed anew as it takes. */
export function editOf(before: string, after: string): Edit {
  const old = [...before];
  const now = [...after];
  let same = 0;
  while (same < old.length && same < now.length && old[same] === now[same]) same++;
  return { erased: old.length - same, typed: now.slice(same).join("") };
}

/** Written by choosing among what the letters may mean: a shell can't use it before it is chosen. */
const CHOSEN = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u;

/** There is always something in the field to erase: without it some keyboards say nothing of their backspace key. */
const FILLING = "    ";
const LONG = 256;

export interface Typing {
  /** Characters, backspace as DEL. True: the word that is being written ends with them. */
  onType(text: string): boolean;
  /** What is being composed and not typed yet. */
  onCompose(text: string): void;
  /** For a screen reader xterm.js leaves all that real keys type in the field as well, not only some letters. */
  isReadOut(): boolean;
}

/** Follow the field of a terminal. `root` is around it: listeners there come before those of xterm.js. */
export function followPhoneKeyboard(
  root: HTMLElement,
  field: HTMLTextAreaElement,
  { onType, onCompose, isReadOut }: Typing,
): () => void {
  let known = ""; // what the field has that is typed
  let isComposing = false;
  let isHeld = false;
  let isRealKey = false;
  let isTaken = false; // by xterm.js

  function refill(): void {
    field.value = FILLING;
    field.setSelectionRange(FILLING.length, FILLING.length);
    known = FILLING;
  }

  function changed(): void {
    const now = field.value;
    const { erased, typed } = editOf(known, now);
    known = now;
    const isEnd = (erased > 0 || typed !== "") && onType("\x7f".repeat(erased) + typed.replace(/\r?\n/g, "\r"));
    if (isComposing && !isEnd) return;
    if (isEnd || now.length < FILLING.length || now.length > LONG || now.includes("\n")) refill();
  }

  const listeners: Record<string, (event: Event) => void> = {
    keydown(event) {
      pressed(event);
      const { keyCode, isComposing: isPart } = event as KeyboardEvent;
      isRealKey = keyCode !== 229 && !isPart;
      isTaken = isRealKey && isReadOut();
      if (!isRealKey) event.stopImmediatePropagation(); // "see the field"
    },
    keypress() {
      isTaken = isRealKey;
    },
    keyup(event) {
      isTaken = false;
      if (!isComposing && field.value === "") refill();
      if ((event as KeyboardEvent).keyCode === 229) event.stopImmediatePropagation();
    },
    compositionstart(event) {
      isComposing = true;
      known = field.value;
      event.stopImmediatePropagation();
    },
    compositionupdate(event) {
      isHeld = CHOSEN.test((event as CompositionEvent).data);
      event.stopImmediatePropagation();
    },
    compositionend(event) {
      isComposing = false;
      isHeld = false;
      onCompose("");
      event.stopImmediatePropagation();
      changed();
    },
    beforeinput(event) {
      pressed(event);
      if (!isComposing) known = field.value; // xterm.js empties it now and then
    },
    input(event) {
      event.stopImmediatePropagation();
      if (isTaken) known = field.value;
      else if (isHeld) onCompose(field.value.slice(known.length));
      else changed();
    },
    focusin: refill,
  };
  for (const [name, listener] of Object.entries(listeners)) root.addEventListener(name, listener, { capture: true });
  return () => {
    for (const [name, listener] of Object.entries(listeners))
      root.removeEventListener(name, listener, { capture: true });
  };
}
