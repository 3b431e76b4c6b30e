import { signal } from "@preact/signals";
import { ask } from "./api";
import type { Info } from "./types";

/** What the service is and can do; null until it has said so. */
export const info = signal<Info | null>(null);

let asked: Promise<void> | null = null;

/** Ask once; after a failure whoever needs it next asks again. Raises: ApiError. */
export function readInfo(): Promise<void> {
  asked ??= ask<Info>("GET", "/info").then(
    (answer) => {
      info.value = answer;
    },
    (error: unknown) => {
      asked = null;
      throw error;
    },
  );
  return asked;
}
