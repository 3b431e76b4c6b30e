/**
 * Who is signed in, in all tabs of this browser.
 *
 * The refresh token is in an HttpOnly cookie, which no script can read; the access token is only here, in memory. Tabs tell
 * each other of signing in and out, and renew one after the other.
 *
 * A sign-in that ends in the middle of something takes nothing off the screen: `again` says so, whoever it was signs in
 * over what is there, and requests that were refused meanwhile are waiting for that and then go on.
 */

import { computed, signal } from "@preact/signals";
import { ApiError, ask, call, useCredentials } from "./api";
import type { SignIn, User } from "./types";

const EARLY_MS = 60_000; // a token that ends sooner is renewed before it is used
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 20_000;
/** Of a ticket. After a dead zone the browser may ask over a connection that is as dead; the next try has a new one. */
const TICKET_LIMIT_MS = 8_000;
const WEB = { headers: { "X-DevPocket-Web": "1" } }; // other sites' pages can't send it (docs/security.md)

export type Because = "never" | "signed_out" | "elsewhere" | "closed";

/**
 * `unknown`: not asked yet. `away`: the server can't be asked; it is tried again by itself. `out`: nobody; `because` says
 * why it isn't as it was. `again`: the user has to sign in once more, for the sign-in has ended, or for something that is
 * done only after a fresh one.
 */
export type SessionState =
  | { kind: "unknown" }
  | { kind: "away"; error: ApiError }
  | { kind: "in"; user: User; again: null | "ended" | "fresh" }
  | { kind: "out"; because: Because };

export const state = signal<SessionState>({ kind: "unknown" });
export const user = computed<User | null>(() => (state.value.kind === "in" ? state.value.user : null));

let token: string | null = null;
let endsAt = 0;
let refreshing: Promise<void> | null = null;
/** Open while `again`: who waits at it hears whether the same user has come back. */
let door: { opened: Promise<boolean>; open(isSame: boolean): void } | null = null;

const hasEnded = () => state.value.kind === "in" && state.value.again === "ended";

/** `isNew`: somebody has just shown who they are, here or in another tab; else an older sign-in goes on. */
function accept(signIn: SignIn, isNew: boolean): User {
  const before = state.value;
  const isSame = before.kind === "in" && before.user.id === signIn.user.id;
  token = signIn.access_token;
  endsAt = Date.now() + signIn.expires_in * 1000;
  const isStillAsked = isSame && !isNew && before.again === "fresh";
  state.value = { kind: "in", user: signIn.user, again: isStillAsked ? "fresh" : null };
  if (!isStillAsked) openDoor(isSame);
  return signIn.user;
}

function leave(because: Because): void {
  token = null;
  state.value = { kind: "out", because };
  openDoor(false);
}

function openDoor(isSame: boolean): void {
  door?.open(isSame);
  door = null;
}

/** Have the user sign in once more, over what they see. False: they didn't, or somebody else did. */
export async function signInAgain(why: "ended" | "fresh" = "fresh"): Promise<boolean> {
  if (state.value.kind !== "in") return false;
  if (state.value.again !== "ended") state.value = { ...state.value, again: why };
  if (door === null) {
    let open: (isSame: boolean) => void = () => undefined;
    const opened = new Promise<boolean>((resolve) => {
      open = resolve;
    });
    door = { opened, open };
  }
  return door.opened;
}

/** They don't want to: what asked for it is not done. An ended sign-in is left for good. */
export function stayAway(): void {
  if (state.value.kind !== "in") return;
  if (state.value.again === "ended") {
    leave("signed_out");
    tell("out");
  } else {
    state.value = { ...state.value, again: null };
    openDoor(false);
  }
}

const tabs = openTabs();

function openTabs(): BroadcastChannel | null {
  try {
    return new BroadcastChannel("devpocket-session");
  } catch {
    return null; // refused together with storage: each tab is on its own
  }
}

function tell(news: "in" | "out"): void {
  tabs?.postMessage(news);
}

let isNewsOfSignIn = false; // what the next refresh brings is new
let isFollowed = false; // not on a guest's page, which isn't to know who is signed in
if (tabs)
  tabs.onmessage = ({ data }: MessageEvent<"in" | "out">) => {
    if (!isFollowed) return;
    if (data === "out" && state.value.kind === "in") leave("elsewhere");
    if (data === "in") {
      token = null; // it may be somebody else who has signed in there
      isNewsOfSignIn = true;
      void restore();
    }
  };

/** Ask who the cookie says is here, one at a time over all tabs. Raises: ApiError, when that can't be known. */
function refresh(): Promise<void> {
  refreshing ??= oneAtATime(async () => {
    try {
      accept(await ask<SignIn>("POST", "/web/refresh", undefined, WEB), isNewsOfSignIn);
      isNewsOfSignIn = false;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      if (state.value.kind === "in") void signInAgain("ended");
      else if (state.value.kind !== "out") leave("never");
    }
  }).finally(() => {
    refreshing = null;
  });
  return refreshing;
}

async function oneAtATime(work: () => Promise<void>): Promise<void> {
  if (!navigator.locks) return work();
  let hasBegun = false;
  const begin = () => {
    hasBegun = true;
    return work();
  };
  try {
    await navigator.locks.request("devpocket-refresh", begin);
  } catch (error) {
    if (hasBegun) throw error;
    await work(); // locks are refused together with storage
  }
}

/** A token of whoever is signed in now, for them alone. Null: they are no longer, or have become somebody else. */
async function renew(): Promise<string | null> {
  const mine = user.value?.id;
  if (!hasEnded()) await refresh();
  if (hasEnded() && !(await signInAgain("ended"))) return null;
  return mine === undefined || mine === user.value?.id ? token : null;
}

useCredentials({
  token: async () =>
    token !== null && Date.now() < endsAt - EARLY_MS && !hasEnded()
      ? token
      : state.value.kind === "out"
        ? null
        : renew(),
  renew: (refused) => (token !== null && token !== refused && !hasEnded() ? Promise.resolve(token) : renew()),
});

let pauseMs = FIRST_PAUSE_MS;
let later: ReturnType<typeof setTimeout> | undefined;

/** Find out who is signed in. Never raises: `state` says what came of it, and while the server is away it goes on trying. */
export async function restore(): Promise<void> {
  isFollowed = true;
  clearTimeout(later);
  try {
    await refresh();
    pauseMs = FIRST_PAUSE_MS;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (state.value.kind === "in" || state.value.kind === "out") return; // what comes next will ask again
    state.value = { kind: "away", error };
    later = setTimeout(restore, Math.max(pauseMs, (error.retryAfterS ?? 0) * 1000));
    pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2);
  }
}

addEventListener("online", () => {
  if (state.value.kind === "away") void restore();
});

async function enter(path: string, body: unknown): Promise<User> {
  const who = accept(await ask<SignIn>("POST", path, body, WEB), true);
  tell("in");
  return who;
}

export const signIn = (name: string, password: string) => enter("/web/login", { username_or_email: name, password });
export const signUp = (form: { username: string; email: string; password: string }) => enter("/web/register", form);
export const signInWithGoogle = (idToken: string) => enter("/web/google", { id_token: idToken });

/** This browser gets a new sign-in; all others end. Raises: ApiError. */
export async function changePassword(current: string, wanted: string): Promise<void> {
  accept(
    await call<SignIn>("POST", "/web/change-password", { current_password: current, new_password: wanted }, WEB),
    true,
  );
  tell("in");
}

/** Sign out here and in all tabs; `every`: on all devices. Raises: ApiError, and then nothing is signed out. */
export async function signOut(every = false): Promise<void> {
  if (every) await call("POST", "/auth/logout", { all: true });
  try {
    await ask("POST", "/web/logout", {}, WEB);
  } catch (error) {
    // Its sessions ended above, or the server has at least taken the cookie away, as it does when it can't do more.
    if (!every && !(error instanceof ApiError && error.status >= 500)) throw error;
  }
  leave("signed_out");
  tell("out");
}

/** The account is closed: there is nothing left to sign out of. */
export function closed(): void {
  leave("closed");
  tell("out");
}

/** What the server has just told of the user. */
export function updateUser(changed: User): void {
  if (state.value.kind === "in") state.value = { ...state.value, user: changed };
}

/** A ticket for one WebSocket. Raises: ApiError. */
export async function ticket(): Promise<string> {
  const limited = { limitMs: TICKET_LIMIT_MS };
  return (await call<{ ticket: string }>("POST", "/ws/tickets", undefined, limited)).ticket;
}
