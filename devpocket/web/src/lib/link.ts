/**
 * A WebSocket that comes back by itself: after a dead zone, a locked screen, a restart of the server.
 *
 * It knows nothing of what is said over it, but for `error` frames, which tell why a close follows
 * (docs/websocket-protocol.md, "Closing").
 */

import { type ReadonlySignal, signal } from "@preact/signals";
import { ApiError } from "./api";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 20_000;
const PING_MS = 30_000; // as the phone app; the server closes after 120 s without a word
const SILENCE_MS = 15_000; // without an answer to a ping: the network is gone, and TCP hasn't noticed
const OPEN_LIMIT_MS = 20_000;
const SOON_MS = 8_000; // after coming back to the page or the network, within which an answer has to come

export type LinkState =
  | { kind: "connecting"; attempt: number }
  | { kind: "open" }
  /** `why`: an error code of the server's, or "lost". */
  | { kind: "waiting"; until: number; attempt: number; why: string }
  | { kind: "ended"; code: number; why: string; message: string };

export interface Frame {
  type: string;
  // biome-ignore lint/suspicious/noExplicitAny: each reader knows its frames
  [field: string]: any;
}

export interface LinkOptions {
  /** Where to connect, anew for each try: a ticket is good for one. Raises: ApiError. */
  address(): Promise<{ url: string; protocols?: string[] }>;
  onFrame(frame: Frame): void;
  onBytes?(data: Uint8Array): void;
  onClose?(): void;
}

export interface Link {
  readonly state: ReadonlySignal<LinkState>;
  /** Milliseconds from the last ping to its answer. */
  readonly lagMs: ReadonlySignal<number | null>;
  /** False when it is not open: nothing was sent. */
  send(frame: Frame): boolean;
  /** Try now: somebody wants to. Also after it has ended. */
  retry(): void;
  close(): void;
}

/** After these the server is asked again; after any other `error` with a close 1008 it has had its word. */
const PASSING = new Set([
  "authentication_failed",
  "session_revoked", // asking for a ticket finds out whether this tab has another sign-in, or has the user sign in again
  "service_unavailable",
  "internal_error",
  "ssh_failed",
  "rate_limited",
]);
/** How often in a row a sign-in may be refused: the access token is renewed in between. */
const MAX_REFUSED = 2;
const REFUSALS = ["authentication_failed", "session_revoked"];
/** These closes follow an `error` that tells why; before any other it was about something else. */
const EXPLAINED = [1008, 1011, 1013];
/** Of a close without an `error` before it, by its reason (docs/websocket-protocol.md, "Closing"). */
const REASONS: Record<string, string> = {
  "Authentication failed": "authentication_failed",
  "Environment not found": "environment_not_found",
  "Environment not running": "environment_not_running",
  "Invalid session name": "invalid_session",
  "Rate limit exceeded": "rate_limited",
  "Session revoked": "session_revoked",
  "Too many connections": "too_many_connections",
};

export function openLink(options: LinkOptions): Link {
  const state = signal<LinkState>({ kind: "connecting", attempt: 0 });
  const lagMs = signal<number | null>(null);
  let socket: WebSocket | null = null;
  let generation = 0; // of tries; the one before may still be asking for its address
  let attempt = 0;
  let refused = 0;
  let isClosed = false;
  let lastError: { code: string; message: string; retryAfterS: number | null } | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let silence: ReturnType<typeof setTimeout> | undefined;
  let pinged = 0;
  let triedAt = 0;
  const pinging = setInterval(() => ping(SILENCE_MS), PING_MS);

  async function connect(): Promise<void> {
    clearTimeout(timer);
    const mine = ++generation;
    triedAt = Date.now();
    state.value = { kind: "connecting", attempt };
    lastError = null;
    let where: { url: string; protocols?: string[] };
    try {
      where = await options.address();
    } catch (error) {
      if (isClosed || mine !== generation) return;
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 401 || error.status === 403) return end(1008, error.code, error.detail);
      return wait(error.code === "offline" ? "lost" : error.code, error.retryAfterS);
    }
    if (isClosed || mine !== generation) return;
    const opened = new WebSocket(where.url, where.protocols ?? []);
    opened.binaryType = "arraybuffer";
    socket = opened;
    const giveUp = setTimeout(() => lose(opened, "lost"), OPEN_LIMIT_MS);
    opened.onmessage = ({ data }) => {
      if (socket !== opened) return;
      clearTimeout(giveUp);
      if (state.value.kind !== "open") state.value = { kind: "open" };
      heard();
      if (typeof data !== "string") {
        lastError = null;
        return options.onBytes?.(new Uint8Array(data));
      }
      take(JSON.parse(data) as Frame);
    };
    opened.onclose = ({ code, reason }) => {
      clearTimeout(giveUp);
      if (socket === opened) closed(code, reason);
    };
  }

  function take(frame: Frame): void {
    if (frame.type === "pong") {
      lagMs.value = performance.now() - pinged;
      return; // and says nothing of an error before it
    }
    if (frame.type === "error") {
      lastError = { code: frame.code, message: frame.message, retryAfterS: frame.retry_after ?? null };
    } else {
      lastError = null; // it goes on: that error was no reason to close
    }
    if (frame.type === "welcome") {
      attempt = 0;
      refused = 0;
      ping(SILENCE_MS); // how far it is, from the beginning
    }
    options.onFrame(frame);
  }

  function ping(limitMs: number): void {
    if (!send({ type: "ping" })) return;
    pinged = performance.now();
    clearTimeout(silence);
    const asked = socket;
    silence = setTimeout(() => asked && lose(asked, "lost"), limitMs);
  }

  /** Any word is an answer: a long output delays the pong. */
  function heard(): void {
    clearTimeout(silence);
  }

  /** Leave a socket whose network is gone: its own close would come in minutes. */
  function lose(lost: WebSocket, why: string): void {
    if (socket !== lost) return;
    drop();
    if (!isClosed) wait(why, null);
  }

  function drop(code?: number): void {
    clearTimeout(silence);
    const left = socket;
    socket = null;
    if (left === null) return;
    left.onmessage = left.onclose = null;
    left.close(code);
    options.onClose?.();
  }

  function closed(code: number, reason: string): void {
    socket = null;
    clearTimeout(silence);
    options.onClose?.();
    if (isClosed) return;
    const told = EXPLAINED.includes(code) ? lastError : null;
    const why = told?.code ?? REASONS[reason] ?? (code === 1012 ? "restart" : "lost");
    if (REFUSALS.includes(why) && ++refused >= MAX_REFUSED) return end(code, why, told?.message ?? reason);
    if (code === 1000 || (code === 1008 && !PASSING.has(why))) return end(code, why, told?.message ?? reason);
    wait(why, told?.retryAfterS ?? null);
  }

  function wait(why: string, retryAfterS: number | null): void {
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt);
    // Spread, so that not all who lost the same server come back at the same moment; it spreads a restart's closes itself.
    const pause =
      retryAfterS !== null ? retryAfterS * 1000 : why === "restart" ? 0 : longest * (0.5 + Math.random() / 2);
    attempt += 1;
    state.value = { kind: "waiting", until: Date.now() + pause, attempt, why };
    timer = setTimeout(connect, pause);
  }

  function end(code: number, why: string, message: string): void {
    state.value = { kind: "ended", code, why, message };
  }

  function send(frame: Frame): boolean {
    if (socket?.readyState !== WebSocket.OPEN) return false;
    socket.send(JSON.stringify(frame));
    return true;
  }

  function retry(): void {
    if (isClosed || state.value.kind === "open") return;
    attempt = 0;
    refused = 0;
    clearTimeout(timer);
    drop();
    void connect();
  }

  /** The page is looked at again, or the network is back: what waits tries now, and what seems open has to prove it. */
  function back(): void {
    if (document.visibilityState !== "visible") return;
    if (state.value.kind === "waiting") retry();
    else if (state.value.kind === "open") ping(SOON_MS);
    else if (state.value.kind === "connecting" && Date.now() - triedAt > SOON_MS) retry(); // from before it was put away
  }

  function offline(): void {
    if (socket !== null) lose(socket, "lost");
  }

  document.addEventListener("visibilitychange", back);
  addEventListener("online", back);
  addEventListener("offline", offline);
  addEventListener("pageshow", back);
  void connect();

  return {
    state,
    lagMs,
    send,
    retry,
    close() {
      isClosed = true;
      clearTimeout(timer);
      clearInterval(pinging);
      document.removeEventListener("visibilitychange", back);
      removeEventListener("online", back);
      removeEventListener("offline", offline);
      removeEventListener("pageshow", back);
      drop(1000);
      state.value = { kind: "ended", code: 1000, why: "closed", message: "" };
    },
  };
}

/** wss://this host/api/v1/ws/<path>?<query> */
export function socketUrl(path: string, query: Record<string, string>): string {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const search = new URLSearchParams(query).toString();
  return `${scheme}//${location.host}/api/v1/ws/${path}${search ? `?${search}` : ""}`;
}
