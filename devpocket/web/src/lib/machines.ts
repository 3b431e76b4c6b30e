/** All of the user's machines, as they are now: one WebSocket tells of every change. */

import { computed, effect, signal } from "@preact/signals";
import { get } from "./api";
import { type Link, type LinkState, openLink, socketUrl } from "./link";
import { ticket, user } from "./session";
import type { Environment } from "./types";

const rows = signal<Map<string, Environment> | null>(null);
const link = signal<Link | null>(null);

/** Newest first; null until they are known. */
export const machines = computed(() =>
  rows.value === null
    ? null
    : [...rows.value.values()].sort((one, other) => other.created_at.localeCompare(one.created_at)),
);

/** How it stands with the news of them. */
export const news = computed<LinkState | null>(() => link.value?.state.value ?? null);

/** The machine; null when there is none; undefined while that isn't known. */
export function findMachine(id: string): Environment | null | undefined {
  return rows.value === null ? undefined : (rows.value.get(id) ?? null);
}

/** What an answer of the API says of one. The WebSocket will say so too, a moment later. */
export function putMachine(changed: Environment): void {
  rows.value = new Map(rows.value ?? []).set(changed.id, changed);
}

export function dropMachine(id: string): void {
  const left = new Map(rows.value ?? []);
  left.delete(id);
  rows.value = left;
}

function putAll(all: Environment[]): void {
  rows.value = new Map(all.map((one) => [one.id, one]));
}

/** Read them over HTTP: where WebSockets don't get through. Raises: ApiError. */
export async function readMachines(): Promise<void> {
  putAll(await get<Environment[]>("/environments?limit=200"));
}

export function retryNews(): void {
  link.value?.retry();
}

function listen(): Link {
  return openLink({
    address: async () => ({ url: socketUrl("environments", { ticket: await ticket() }) }),
    onFrame(frame) {
      if (frame.type === "welcome") putAll(frame.environments);
      if (frame.type === "environment") putMachine(frame.environment);
      if (frame.type === "environment_removed") dropMachine(frame.environment_id);
    },
  });
}

const who = computed(() => user.value?.id ?? null);

/** Follow whoever is signed in. Called once, by main.tsx. */
export function followMachines(): void {
  effect(() => {
    if (who.value === null) return;
    const mine = listen();
    link.value = mine;
    return () => {
      mine.close();
      link.value = null;
      rows.value = null;
    };
  });
}
