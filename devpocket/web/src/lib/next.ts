/** Where to go after signing in. */

/** `next` as an address of this site (path, query, fragment); "/" where it is none, or one that only leads to signing in. */
export function safeNext(next: string | null): string {
  if (!next?.startsWith("/")) return "/";
  const base = "https://here.invalid";
  let url: URL;
  try {
    url = new URL(next, base); // as the browser would read it: "//elsewhere" and "/\elsewhere" are other sites
  } catch {
    return "/";
  }
  if (url.origin !== base || /^\/(sign-in|sign-up|forgot|google)(\/|$)/.test(url.pathname)) return "/";
  return url.pathname + url.search + url.hash;
}

/** `path`, which will lead to `next`. */
export function withNext(path: string, next: string): string {
  return next === "/" ? path : `${path}?next=${encodeURIComponent(next)}`;
}
