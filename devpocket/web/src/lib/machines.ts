/** All of the user's machines, as they are now: one WebSocket tells of every change. */

import { batch, computed, effect, signal, untracked } from "@preact/signals";
import { ApiError, get } from "./api";
import { type Link, type LinkState, openLink, socketUrl } from "./link";
import { ticket, user } from "./session";
import type { Environment } from "./types";

const rows = signal<ReadonlyMap<string, Environment>>(new Map());
const link = signal<Link | null>(null);
/** How all of them came to be known: by the WebSocket, or by asking, where that doesn't get through; null: not yet. */
export const knownBy = signal<{ kind: "news" } | { kind: "asked"; at: number } | null>(null);
let deleted = new Set<string>(); // an answer that was on its way brings none of them back

/** Newest first; null until they are known. */
export const machines = computed(() =>
  knownBy.value === null
    ? null
    : [...rows.value.values()].sort((one, other) => other.created_at.localeCompare(one.created_at)),
);

/** How it stands with the news of them. */
export const news = computed<LinkState | null>(() => link.value?.state.value ?? null);

/** The machine; null when there is none; undefined while that isn't known. */
export function findMachine(id: string): Environment | null | undefined {
  return rows.value.get(id) ?? (knownBy.value === null ? undefined : null);
}

/** Whether it was deleted while this page was open. */
export function isDeleted(id: string): boolean {
  return deleted.has(id);
}

/** What the server has told of one; answers may overtake each other, and the WebSocket's frames. */
export function putMachine(told: Environment): void {
  const before = rows.peek().get(told.id);
  if (deleted.has(told.id) || (before !== undefined && told.updated_at < before.updated_at)) return;
  rows.value = new Map(rows.peek()).set(told.id, told);
}

export function dropMachine(id: string): void {
  if (!rows.peek().has(id)) return;
  deleted.add(id);
  const left = new Map(rows.peek());
  left.delete(id);
  rows.value = left;
}

function putAll(all: Environment[], by: NonNullable<typeof knownBy.value>): void {
  const now = new Map(all.filter((one) => !deleted.has(one.id)).map((one) => [one.id, one]));
  for (const id of rows.peek().keys()) if (!now.has(id)) deleted.add(id);
  batch(() => {
    rows.value = now;
    knownBy.value = by;
  });
}

/** Ask for all of them: where WebSockets don't get through. Raises: ApiError. */
export async function readMachines(): Promise<void> {
  const before = new Set(rows.peek().keys());
  const all = await get<Environment[]>("/environments?limit=200");
  // What was created while this was on its way isn't in the answer.
  const later = [...rows.peek().values()].filter((one) => !before.has(one.id));
  putAll([...later.filter((one) => !all.some(({ id }) => id === one.id)), ...all], { kind: "asked", at: Date.now() });
}

/** Ask for one of them anew. Raises: ApiError; where it is gone, that is noted too. */
export async function readMachine(id: string): Promise<void> {
  try {
    putMachine(await get<Environment>(`/environments/${encodeURIComponent(id)}`));
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) dropMachine(id);
    throw error;
  }
}

export function retryNews(): void {
  link.value?.retry();
}

function listen(): Link {
  return openLink({
    address: async () => ({ url: socketUrl("environments", { ticket: await ticket() }) }),
    onFrame(frame) {
      if (frame.type === "welcome") putAll(frame.environments, { kind: "news" });
      if (frame.type === "environment") putMachine(frame.environment);
      if (frame.type === "environment_removed") dropMachine(frame.environment_id);
    },
  });
}

const who = computed(() => user.value?.id ?? null);

/** Tries to open the WebSocket after which it is left at asking, once for each further try. */
const PATIENCE = 2;

function askInstead(): void {
  const state = news.value;
  if (state?.kind !== "ended" && !(state?.kind === "waiting" && state.attempt >= PATIENCE)) return;
  untracked(() => void readMachines().catch(() => undefined)); // the list says already that there is no connection
}

/** Follow whoever is signed in. Called once, by main.tsx. */
export function followMachines(): void {
  effect(() => {
    if (who.value === null) return;
    const mine = listen();
    link.value = mine;
    return () => {
      batch(() => {
        mine.close();
        link.value = null;
        rows.value = new Map();
        knownBy.value = null;
      });
      deleted = new Set();
    };
  });
  effect(askInstead);
  effect(() => {
    // Whoever has signed in once more, after the sign-in that the socket was opened with has ended, hears news again.
    if (user.value !== null && untracked(() => news.value?.kind === "ended")) retryNews();
  });
}
