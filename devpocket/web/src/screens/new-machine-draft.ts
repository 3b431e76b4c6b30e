/** What somebody is about to create. It outlives the screen: who goes off to verify an address finds it as it was. */

import { signal } from "@preact/signals";
import type { Environment } from "../lib/types";
import { toRecord, type Variable } from "../lib/variables";

export interface Draft {
  template: string | null;
  size: string | null; // null, as with the next: left to the server
  region: string | null;
  name: string;
  storageGb: string;
  password: string;
  variables: Variable[];
}

export const draft = signal<Draft | null>(null);
let owner: string | null = null;

/** The draft of this user, begun where there is none. */
export function beginDraft(userId: string, fresh: Draft): Draft {
  if (owner !== userId || draft.peek() === null) {
    owner = userId;
    draft.value = fresh;
    last = null;
  }
  return draft.peek() as Draft;
}

export function changeDraft(changed: Partial<Draft>): void {
  if (draft.peek() !== null) draft.value = { ...(draft.peek() as Draft), ...changed };
}

/** It has been created. */
export function endDraft(): void {
  draft.value = null;
  last = null;
}

export function bodyOf({ template, size, region, name, storageGb, password, variables }: Draft) {
  return {
    name,
    template_id: template,
    size,
    region,
    storage_size_gb: storageGb === "" ? null : Number(storageGb),
    user_password: password === "" ? null : password,
    environment_variables: toRecord(variables),
  };
}

let last: { body: string; key: string } | null = null;

/** The same for the same request: one whose answer was lost isn't done twice. Another request needs another key. */
export function keyFor(body: unknown): string {
  const text = JSON.stringify(body);
  if (last?.body !== text) last = { body: text, key: randomKey() };
  return last.key;
}

/** Not `crypto.randomUUID`, which plain http hasn't. */
function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Whose making the user has just asked for and looks on at: its terminal opens by itself. */
export const awaited = signal<Environment["id"] | null>(null);
