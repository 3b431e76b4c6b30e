/** Being at Google in between: what is remembered over it, and the answer, which is out of the address before anything else runs. */

import { signal } from "@preact/signals";
import type { ApiError } from "./api";
import { authorizationAddress, type Journey, readAnswer } from "./google";
import { signInWithGoogle } from "./session";

const KEPT = "devpocket.google";

export type GoogleState =
  | { kind: "idle" }
  | { kind: "answered"; idToken: string }
  | { kind: "busy" }
  | { kind: "done" }
  | { kind: "failed"; problem: "denied" | "stranger" | "storage" | ApiError };

export const google = signal<GoogleState>({ kind: "idle" });

/** At /google with an answer in the fragment: keep it in memory, and only there. Called first of all, by main.tsx. */
export function takeAnswer(): void {
  if (location.pathname !== "/google" || location.hash === "") return;
  const fragment = location.hash;
  const journey = kept();
  history.replaceState(null, "", `/google${journey?.search ?? ""}`);
  const answer = readAnswer(fragment, journey);
  google.value =
    "idToken" in answer ? { kind: "answered", idToken: answer.idToken } : { kind: "failed", problem: answer.problem };
}

function kept(): Journey | null {
  try {
    const found = sessionStorage.getItem(KEPT);
    sessionStorage.removeItem(KEPT); // an answer counts once
    return found === null ? null : (JSON.parse(found) as Journey);
  } catch {
    return null;
  }
}

/** 128 bits; crypto.randomUUID() is for https alone. */
function random(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Leave for Google. */
export function goToGoogle(clientId: string): void {
  const journey: Journey = { state: random(), nonce: random(), search: location.search };
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(journey));
  } catch {
    google.value = { kind: "failed", problem: "storage" }; // the answer couldn't be told from a stranger's
    return;
  }
  location.replace(authorizationAddress(clientId, location.origin, journey));
}

/** Sign in with the answer. Never raises: `google` says what came of it. */
export async function finish(idToken: string): Promise<void> {
  google.value = { kind: "busy" };
  try {
    await signInWithGoogle(idToken);
    google.value = { kind: "done" };
  } catch (error) {
    google.value = { kind: "failed", problem: error as ApiError };
  }
}
