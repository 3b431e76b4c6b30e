/**
 * Who is signed in, in all tabs of this browser.
 *
 * The refresh token is in an HttpOnly cookie, which no script can read; the access token is only here, in memory. Tabs tell
 * each other of signing in and out, and renew one after the other.
 */

import { computed, signal } from "@preact/signals";
import { ApiError, ask, call, useCredentials } from "./api";
import type { SignIn, User } from "./types";

const EARLY_MS = 60_000; // a token that ends sooner is renewed before it is used
const WEB = { headers: { "X-DevPocket-Web": "1" } }; // other sites' pages can't send it (docs/security.md)

/**
 * `unknown`: not asked yet. `away`: the server can't be asked. `out`: nobody; `because` says why it isn't as it was.
 */
export type SessionState =
  | { kind: "unknown" }
  | { kind: "away"; error: ApiError }
  | { kind: "in"; user: User }
  | { kind: "out"; because: "never" | "signed_out" | "elsewhere" | "ended" };

export const state = signal<SessionState>({ kind: "unknown" });
export const user = computed<User | null>(() => (state.value.kind === "in" ? state.value.user : null));

let token: string | null = null;
let endsAt = 0;
let renewing: Promise<string | null> | null = null;

const tabs = new BroadcastChannel("devpocket-session");
tabs.onmessage = ({ data }: MessageEvent<"in" | "out">) => {
  if (data === "out" && state.value.kind === "in") leave("elsewhere");
  if (data === "in") {
    token = null; // it may be somebody else who has signed in there
    void restore();
  }
};

function accept(signIn: SignIn): User {
  token = signIn.access_token;
  endsAt = Date.now() + signIn.expires_in * 1000;
  state.value = { kind: "in", user: signIn.user };
  return signIn.user;
}

function leave(because: "signed_out" | "elsewhere" | "ended" | "never"): void {
  token = null;
  state.value = { kind: "out", because };
}

/** Another access token by the cookie; null when that is worth nothing any more. Raises: ApiError. One at a time, over all tabs. */
function renew(): Promise<string | null> {
  renewing ??= oneAtATime(async () => {
    const wasIn = state.value.kind === "in";
    try {
      accept(await ask<SignIn>("POST", "/web/refresh", undefined, WEB));
      return token;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      leave(wasIn ? "ended" : "never");
      return null;
    }
  }).finally(() => {
    renewing = null;
  });
  return renewing;
}

function oneAtATime<T>(work: () => Promise<T>): Promise<T> {
  return navigator.locks ? (navigator.locks.request("devpocket-refresh", work) as Promise<T>) : work();
}

useCredentials({
  token: async () =>
    token !== null && Date.now() < endsAt - EARLY_MS ? token : state.value.kind === "out" ? null : renew(),
  renew: (refused) => (token !== null && token !== refused ? Promise.resolve(token) : renew()),
});

/** Find out who is signed in. Never raises: `state` says what came of it. */
export async function restore(): Promise<void> {
  try {
    await renew();
  } catch (error) {
    if (state.value.kind !== "in") state.value = { kind: "away", error: error as ApiError };
  }
}

async function enter(path: string, body: unknown): Promise<User> {
  const who = accept(await ask<SignIn>("POST", path, body, WEB));
  tabs.postMessage("in");
  return who;
}

export const signIn = (name: string, password: string) => enter("/web/login", { username_or_email: name, password });
export const signUp = (form: { username: string; email: string; password: string }) => enter("/web/register", form);
export const signInWithGoogle = (idToken: string) => enter("/web/google", { id_token: idToken });

/** This browser gets a new sign-in; all others end. Raises: ApiError. */
export async function changePassword(current: string, wanted: string): Promise<void> {
  accept(await call<SignIn>("POST", "/web/change-password", { current_password: current, new_password: wanted }, WEB));
  tabs.postMessage("in");
}

/** Sign out here and in all tabs; `every`: on all devices. Raises: ApiError, and then nothing is signed out. */
export async function signOut(every = false): Promise<void> {
  await call("POST", "/web/logout", { all: every }, WEB);
  leave("signed_out");
  tabs.postMessage("out");
}

/** The account is closed: there is nothing left to sign out of. */
export function closed(): void {
  leave("signed_out");
  tabs.postMessage("out");
}

/** What the server has just told of the user. */
export function updateUser(changed: User): void {
  if (state.value.kind === "in") state.value = { kind: "in", user: changed };
}

/** A ticket for one WebSocket. Raises: ApiError. */
export async function ticket(): Promise<string> {
  return (await call<{ ticket: string }>("POST", "/ws/tickets")).ticket;
}
