/**
 * The page without a network: its shell from the cache, so that a terminal can wait for the network in it.
 *
 * What is named by its content is taken from the cache; the page itself is asked for anew and kept for bad days. The
 * API is never cached: old answers would be lies.
 */

declare const self: ServiceWorkerGlobalScope;

const CACHE = "shell-1";
const SHELL = "/";
const NAMED_BY_CONTENT = "/static/web/assets/";

self.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      await (await caches.open(CACHE)).add(new Request(SHELL, { cache: "reload" }));
      await self.skipWaiting();
    })(),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) if (name !== CACHE) await caches.delete(name);
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  if (pathname.startsWith(NAMED_BY_CONTENT)) event.respondWith(fromCache(request));
  else if (request.mode === "navigate" && isOurs(pathname)) event.respondWith(fromNetwork(request));
});

/** The app's addresses, which all have the same page; the admin and the mails' links have pages of their own. */
function isOurs(path: string): boolean {
  return /^\/(sign-in|sign-up|verify|forgot|google|new|machines|settings|t)?(\/|$)/.test(path);
}

async function fromCache(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request);
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok) await keep(cache, request, answer.clone());
  return answer;
}

async function fromNetwork(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  try {
    const answer = await fetch(request);
    if (answer.ok) {
      const isNew = (await cache.match(SHELL))?.headers.get("ETag") !== answer.headers.get("ETag");
      if (isNew) await forgetOthers(cache, answer.clone());
    }
    return answer;
  } catch (error) {
    const kept = await cache.match(SHELL);
    if (kept) return kept;
    throw error;
  }
}

/** A new version: its page is kept, and what the old one needed goes, or the cache would grow with every release. */
async function forgetOthers(cache: Cache, page: Response): Promise<void> {
  for (const old of await cache.keys()) await cache.delete(old);
  await keep(cache, new Request(SHELL), page);
}

async function keep(cache: Cache, request: Request, answer: Response): Promise<void> {
  // A full storage is no reason not to show what came.
  await cache.put(request, answer).catch(() => undefined);
}

export {};
