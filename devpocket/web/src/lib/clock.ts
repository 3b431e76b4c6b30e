/** The time, for what is shown in relation to it; it only goes on while something shows it. */

import { signal } from "@preact/signals";

const EVERY_MS = 20_000;
let ticking: ReturnType<typeof setInterval> | undefined;

export const now = signal(Date.now(), {
  watched() {
    this.value = Date.now();
    ticking = setInterval(() => {
      this.value = Date.now();
    }, EVERY_MS);
  },
  unwatched() {
    clearInterval(ticking);
  },
});
