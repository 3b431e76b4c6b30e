/** Requests to the API: JSON in and out, the access token, and one renewal of it when it has ended. */

import type { FieldProblem } from "./types";

const LIMIT_MS = 30_000; // as the phone app's
const BASE = "/api/v1";

/** A refusal of the server, or `code` "offline" when there was no answer. Its text for people: `say()` in errors.ts. */
export class ApiError extends Error {
  /** When it came, in ms since the epoch: what `retryAfterS` counts from. */
  readonly at = Date.now();

  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly errors: FieldProblem[] = [],
    readonly context: Record<string, unknown> = {},
    readonly retryAfterS: number | null = null,
  ) {
    super(`${status} ${code}`);
  }
}

/** Who is asked for the access token; session.ts, which needs this module itself. */
export interface Credentials {
  /** The token to send, renewed where its end is near. Null: nobody is signed in. */
  token(): Promise<string | null>;
  /** The server has refused `refused`: another token, or null when the sign-in has ended. */
  renew(refused: string): Promise<string | null>;
}

let credentials: Credentials = { token: async () => null, renew: async () => null };

export function useCredentials(those: Credentials): void {
  credentials = those;
}

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
interface Options {
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** How long to wait for the answer, where that isn't LIMIT_MS. */
  limitMs?: number;
}

/** Ask without a token: signing in, and what comes before. `path` is below /api/v1. Raises: ApiError. */
export async function ask<T>(method: Method, path: string, body?: unknown, options: Options = {}): Promise<T> {
  const headers: Record<string, string> = { ...options.headers };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const limit = AbortSignal.timeout(options.limitMs ?? LIMIT_MS);
  let answer: Response;
  try {
    answer = await fetch(BASE + path, {
      method,
      headers,
      signal: options.signal ? AbortSignal.any([limit, options.signal]) : limit,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(0, "offline", "");
  }
  if (answer.status === 204) return undefined as T;
  // biome-ignore lint/suspicious/noExplicitAny: whatever a proxy before the server may have said
  const said: any = await answer.json().catch(() => null);
  if (answer.ok) return said as T;
  throw new ApiError(
    answer.status,
    said?.code ?? (answer.status >= 500 ? "service_unavailable" : "internal_error"),
    said?.detail ?? "",
    said?.errors ?? [],
    said?.context ?? {},
    said?.retry_after ?? null,
  );
}

/** As `ask`, signed in. Raises: ApiError; with status 401 when the sign-in has ended, which `session.state` then says too. */
export async function call<T>(method: Method, path: string, body?: unknown, options: Options = {}): Promise<T> {
  const attempt = (token: string | null) =>
    ask<T>(method, path, body, {
      ...options,
      headers: { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) },
    });
  const token = await credentials.token();
  try {
    return await attempt(token);
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401 || token === null) throw error;
    const renewed = await credentials.renew(token);
    if (renewed === null) throw error;
    return attempt(renewed);
  }
}

export const get = <T>(path: string, options?: Options) => call<T>("GET", path, undefined, options);
export const post = <T>(path: string, body?: unknown, options?: Options) => call<T>("POST", path, body, options);
export const patch = <T>(path: string, body: unknown) => call<T>("PATCH", path, body);
export const remove = (path: string, body?: unknown) => call<void>("DELETE", path, body);
