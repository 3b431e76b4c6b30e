import { beforeEach, expect, test, vi } from "vitest";
import type { User } from "../src/lib/types";

/** The server: what is asked of it, and what it answers next, by path; without an answer it is away. */
let asked: { path: string; token: string | null }[];
let answers: Record<string, (() => Response)[]>;

function answer(path: string, status: number, body: unknown = {}): void {
  answers[path] = [...(answers[path] ?? []), () => new Response(JSON.stringify(body), { status })];
}

const signedIn = (id: string, token: string) => ({ access_token: token, expires_in: 3600, user: { id } as User });
const refused = { code: "token_invalid", detail: "", errors: [] };

/** A tab that has just been opened; all of them share what node has of BroadcastChannel. */
async function tab() {
  vi.resetModules();
  return { ...(await import("../src/lib/session")), ...(await import("../src/lib/api")) };
}

/** A tab in which `id` is signed in. */
async function tabOf(id: string) {
  const opened = await tab();
  answer("/web/refresh", 200, signedIn(id, `first of ${id}`));
  await opened.restore();
  return opened;
}

const Channel = BroadcastChannel;

beforeEach(() => {
  asked = [];
  answers = {};
  const open: BroadcastChannel[] = [];
  vi.stubGlobal(
    "BroadcastChannel",
    class extends Channel {
      constructor(name: string) {
        super(name);
        open.push(this);
      }
    },
  );
  vi.stubGlobal("addEventListener", () => undefined);
  vi.stubGlobal("navigator", {});
  vi.stubGlobal("fetch", async (url: string, { headers }: { headers: Record<string, string> }) => {
    const path = url.replace("/api/v1", "");
    asked.push({ path, token: headers.Authorization?.replace("Bearer ", "") ?? null });
    const next = answers[path]?.shift();
    if (next === undefined) throw new TypeError("no network");
    return next();
  });
  return () => {
    for (const channel of open) channel.close(); // the tabs of this test are closed
    vi.unstubAllGlobals();
  };
});

const tokensFor = (path: string) => asked.filter((one) => one.path === path).map(({ token }) => token);

test("who is signed in is what the cookie says, and nobody is without one", async () => {
  expect((await tabOf("ann")).user.value?.id).toBe("ann");
  const other = await tab();
  answer("/web/refresh", 401, refused);
  await other.restore();
  expect(other.state.value).toEqual({ kind: "out", because: "never" });
});

test("without an answer at the start it is tried again by itself", async () => {
  vi.useFakeTimers();
  try {
    const opened = await tab();
    await opened.restore();
    expect(opened.state.value.kind).toBe("away");
    answer("/web/refresh", 200, signedIn("ann", "a"));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(opened.user.value?.id).toBe("ann");
  } finally {
    vi.useRealTimers();
  }
});

test("requests that are refused at once share one renewal", async () => {
  const opened = await tabOf("ann");
  for (const path of ["/one", "/two"]) {
    answer(path, 401, refused);
    answer(path, 200, path);
  }
  answer("/web/refresh", 200, signedIn("ann", "second"));
  expect(await Promise.all([opened.get("/one"), opened.get("/two")])).toEqual(["/one", "/two"]);
  expect(tokensFor("/one")).toEqual(["first of ann", "second"]);
  expect(asked.filter(({ path }) => path === "/web/refresh")).toHaveLength(2); // the first opened the tab
});

/** Somebody is in the middle of something, and the sign-in is worth nothing any more. */
async function ended() {
  const opened = await tabOf("ann");
  answer("/save", 401, refused);
  answer("/web/refresh", 401, refused);
  const saved = opened.post("/save").then(
    () => "saved",
    (error: { status: number }) => error.status,
  );
  await vi.waitUntil(() => opened.state.value.kind === "in" && opened.state.value.again === "ended");
  return { opened, saved };
}

test("a sign-in that ends keeps its user, and what was refused goes on after the next", async () => {
  const { opened, saved } = await ended();
  expect(opened.user.value?.id).toBe("ann");
  const later = opened.get("/later");
  answer("/save", 200);
  answer("/later", 200, "later");
  answer("/web/login", 200, signedIn("ann", "second"));
  await opened.signIn("ann", "password");
  expect(await saved).toBe("saved");
  expect(await later).toBe("later");
  expect(tokensFor("/save")).toEqual(["first of ann", "second"]);
  expect(tokensFor("/later")).toEqual(["second"]);
});

test("what one user asked for is never sent with the token of another", async () => {
  const { opened, saved } = await ended();
  answer("/web/login", 200, signedIn("ben", "of ben"));
  await opened.signIn("ben", "password");
  expect(await saved).toBe(401);
  expect(tokensFor("/save")).toEqual(["first of ann"]);
  expect(opened.state.value).toMatchObject({ kind: "in", user: { id: "ben" }, again: null });
});

test("whoever doesn't sign in again is out, and what was refused stays so", async () => {
  const { opened, saved } = await ended();
  opened.stayAway();
  expect(await saved).toBe(401);
  expect(opened.state.value).toEqual({ kind: "out", because: "signed_out" });
});

test("a fresh sign-in is not what a mere renewal gives", async () => {
  const opened = await tabOf("ann");
  let isFresh: boolean | null = null;
  void opened.signInAgain().then((isSame) => {
    isFresh = isSame;
  });
  answer("/web/refresh", 200, signedIn("ann", "second"));
  await opened.restore();
  expect(opened.state.value).toMatchObject({ again: "fresh" });
  expect(isFresh).toBe(null);
  answer("/web/login", 200, signedIn("ann", "third"));
  await opened.signIn("ann", "password");
  await vi.waitUntil(() => isFresh !== null);
  expect(isFresh).toBe(true);
});

test("tabs follow each other in and out", async () => {
  const one = await tabOf("ann");
  const other = await tabOf("ann");
  answer("/web/logout", 200);
  await one.signOut();
  await vi.waitUntil(() => other.state.value.kind === "out");
  expect(one.state.value).toEqual({ kind: "out", because: "signed_out" });
  expect(other.state.value).toEqual({ kind: "out", because: "elsewhere" });
  answer("/web/login", 200, signedIn("ben", "of ben"));
  answer("/web/refresh", 200, signedIn("ben", "also of ben"));
  await one.signIn("ben", "password");
  await vi.waitUntil(() => other.user.value?.id === "ben");
});

test("signing out is refused without a network, and done where only the server's database is away", async () => {
  const opened = await tabOf("ann");
  await expect(opened.signOut()).rejects.toMatchObject({ code: "offline" });
  expect(opened.user.value?.id).toBe("ann");
  answer("/web/logout", 503); // it has taken the cookie away all the same
  await opened.signOut();
  expect(opened.user.value).toBe(null);
});

test("signing out everywhere is done only if it is", async () => {
  const opened = await tabOf("ann");
  answer("/auth/logout", 503);
  await expect(opened.signOut(true)).rejects.toMatchObject({ status: 503 });
  expect(opened.user.value?.id).toBe("ann");
  answer("/auth/logout", 200); // and then the cookie is worth nothing, whether or not it can be taken away
  await opened.signOut(true);
  expect(opened.user.value).toBe(null);
});
