/**
 * The terminals of this page. They outlive the screens that show them: whoever looks at another screen, or has to sign in
 * again, comes back to the same one, with all that was typed.
 */

import { effect } from "@preact/signals";
import { state } from "../lib/session";
import { Pane, type Place } from "./pane";

const KEPT = 20; // more are hardly in use; the oldest that rest are let go

const panes = new Map<string, Pane>();
let owner: string | null = null;

const keyOf = (environmentId: string, session: string | null) => `${environmentId}/${session ?? ""}`;

/** The one of this place: connected, or about to be. */
export function paneOf(place: Place): Pane {
  const key = keyOf(place.environmentId, place.session);
  const found = panes.get(key);
  if (found !== undefined) {
    panes.delete(key); // and in again: it is the newest now
    panes.set(key, found);
    return found;
  }
  const made = new Pane(place);
  panes.set(key, made);
  for (const [old, pane] of panes) {
    if (panes.size <= KEPT) break;
    if (pane.stream.isResting() && pane.stream.unsent.value === 0) drop(old);
  }
  return made;
}

export function findPane(environmentId: string, session: string | null): Pane | undefined {
  return panes.get(keyOf(environmentId, session));
}

/** It is closed, and nothing of it is kept. */
export function dropPane(environmentId: string, session: string | null): void {
  drop(keyOf(environmentId, session));
}

function drop(key: string): void {
  panes.get(key)?.close();
  panes.delete(key);
}

/** Nobody looks at the terminals of this machine: an open one counts as use, and would keep the machine running. */
export function restPanes(environmentId: string): void {
  for (const pane of panes.values()) if (pane.place.environmentId === environmentId) pane.stream.rest();
}

effect(() => {
  const now = state.value;
  const isOther = now.kind === "in" && owner !== null && owner !== now.user.id;
  const hasLeft = now.kind === "out" && now.because !== "never";
  if (isOther || hasLeft) for (const key of [...panes.keys()]) drop(key);
  if (now.kind === "in") owner = now.user.id;
});

addEventListener("beforeunload", (event) => {
  if ([...panes.values()].some((pane) => pane.stream.unsent.value > 0)) event.preventDefault();
});
